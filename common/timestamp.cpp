#include "common/timestamp.h"

namespace evfd {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// Removes exactly `digits` digits from the front of the text and returns their value. Returns -1 if
// there are fewer digits.
int consume_number(std::string_view& text, std::size_t digits)
{
    if (text.size() < digits)
        return -1;
    int value = 0;
    for (const char c : text.substr(0, digits)) {
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
    }
    text.remove_prefix(digits);
    return value;
}

bool consume(std::string_view& text, char expected)
{
    if (!text.starts_with(expected))
        return false;
    text.remove_prefix(1);
    return true;
}

// Removes a fraction such as ".5", of up to nine digits, from the front of the text. A missing
// fraction is 0.
std::optional<nanoseconds> consume_fraction(std::string_view& text)
{
    if (!consume(text, '.'))
        return nanoseconds{0};
    std::int64_t value = 0;
    std::size_t places = 0;
    for (; !text.empty() && text.front() >= '0' && text.front() <= '9'; ++places) {
        value = value * 10 + (text.front() - '0');
        text.remove_prefix(1);
        if (places == 9)
            return {};
    }
    if (places == 0)
        return {};
    for (; places < 9; ++places)
        value *= 10;
    return nanoseconds{value};
}

// Removes a time such as "08:30" or "08:30:15" from the front of the text. `needs_seconds` is true
// if a time without seconds is an error.
std::optional<seconds> consume_time_of_day(std::string_view& text, bool needs_seconds)
{
    const int hour = consume_number(text, 2);
    if (!consume(text, ':'))
        return {};
    const int minute = consume_number(text, 2);
    int second = 0;
    if (needs_seconds || text.starts_with(':')) {
        if (!consume(text, ':'))
            return {};
        second = consume_number(text, 2);
    }
    // A leap second counts as the first second of the next minute, because the kernel's clock has
    // no leap seconds.
    const int last_second = needs_seconds ? 60 : 59;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > last_second)
        return {};
    return hours{hour} + minutes{minute} + seconds{second};
}

// Removes "Z" or an offset such as "+01:00" from the front of the text. Returns how far local time
// is ahead of UTC.
std::optional<seconds> consume_offset(std::string_view& text)
{
    if (consume(text, 'Z') || consume(text, 'z'))
        return seconds{0};
    const bool is_ahead = text.starts_with('+');
    if (!is_ahead && !text.starts_with('-'))
        return {};
    text.remove_prefix(1);
    const auto offset = text.size() == 5 ? consume_time_of_day(text, false) : std::nullopt;
    if (!offset)
        return {};
    return is_ahead ? *offset : -*offset;
}

std::optional<nanoseconds> from_seconds(seconds whole, nanoseconds fraction)
{
    constexpr auto last = std::chrono::floor<seconds>(nanoseconds::max());
    if (whole < seconds{0} || whole > last || fraction > nanoseconds::max() - whole)
        return {};
    return whole + fraction;
}

std::optional<nanoseconds> parse_rfc3339(std::string_view text)
{
    const int year = consume_number(text, 4);
    if (!consume(text, '-'))
        return {};
    const int month = consume_number(text, 2);
    if (!consume(text, '-'))
        return {};
    const int day = consume_number(text, 2);
    if (year < 0 || month < 1 || day < 1 ||
        !(consume(text, 'T') || consume(text, 't') || consume(text, ' ')))
        return {};
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    const auto time = consume_time_of_day(text, true);
    const auto fraction = consume_fraction(text);
    const auto offset = consume_offset(text);
    if (!date.ok() || !time || !fraction || !offset || !text.empty())
        return {};
    const auto midnight = std::chrono::sys_days{date}.time_since_epoch();
    return from_seconds(midnight + *time - *offset, *fraction);
}

std::optional<nanoseconds> parse_seconds(std::string_view text)
{
    // Accepts only a plain number of seconds. parse_duration() would accept units, too.
    for (const char c : text)
        if ((c < '0' || c > '9') && c != '.')
            return {};
    return parse_duration(text);
}

} // namespace

std::optional<Duration> Duration::parse(std::string_view text)
{
    const auto span = parse_duration(text);
    return span ? std::optional{Duration{*span}} : std::nullopt;
}

std::optional<Timestamp> Timestamp::parse(std::string_view text)
{
    const bool is_clock_neutral = consume(text, '@');
    const auto since_zero = is_clock_neutral ? parse_seconds(text) : parse_rfc3339(text);
    return since_zero ? std::optional{Timestamp{*since_zero, is_clock_neutral}} : std::nullopt;
}

std::optional<seconds> parse_time_of_day(std::string_view text)
{
    const auto time = consume_time_of_day(text, false);
    return text.empty() ? time : std::nullopt;
}

} // namespace evfd
