#include "common/clock.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>

namespace evfd {

namespace {

// An integer type that is wide enough for every product in this file, so that a product can be
// compared with its limit.
__extension__ using Wide = unsigned __int128;

// The largest n for which 10^n fits into 63 bits.
constexpr std::size_t max_places = 18;

// Removes the digits at the front of the text and returns their value. Returns nothing if there are
// no digits, or if their value exceeds 63 bits.
std::optional<Wide> consume_digits(std::string_view& text, std::size_t* digits = nullptr)
{
    Wide value = 0;
    std::size_t n = 0;
    for (; n < text.size() && text[n] >= '0' && text[n] <= '9'; ++n) {
        value = value * 10 + static_cast<unsigned>(text[n] - '0');
        if (value > INT64_MAX)
            return {};
    }
    if (n == 0)
        return {};
    if (digits)
        *digits = n;
    text.remove_prefix(n);
    return value;
}

// The units of a duration in nanoseconds, in ascending order. consume_unit() takes the first name
// that matches, so "ms" must be listed before "m".
constexpr std::array<std::pair<std::string_view, std::int64_t>, 7> units{
    {{"ns", 1},
     {"us", 1'000},
     {"ms", 1'000'000},
     {"s", 1'000'000'000},
     {"m", 60'000'000'000},
     {"h", 3'600'000'000'000},
     {"d", 86'400'000'000'000}}};

// Removes the unit at the front of the text and returns its length in nanoseconds.
std::optional<std::int64_t> consume_unit(std::string_view& text)
{
    for (const auto& [name, size] : units)
        if (text.starts_with(name)) {
            text.remove_prefix(name.size());
            return size;
        }
    return {};
}

} // namespace

WallTime wall_now()
{
    return std::chrono::time_point_cast<nanoseconds>(std::chrono::system_clock::now());
}

nanoseconds now_on(Clock clock)
{
    // Reads the plain clock in place of an alarm clock. The two clocks show the same time, but an
    // alarm clock cannot be read on a machine without a real-time clock device.
    const auto plain = is_wall_clock(clock) ? CLOCK_REALTIME
                       : is_alarm(clock)    ? CLOCK_BOOTTIME
                                            : to_clockid(clock);
    std::timespec now{};
    ::clock_gettime(plain, &now);
    return std::chrono::seconds{now.tv_sec} + nanoseconds{now.tv_nsec};
}

MonotonicTime add_saturating(MonotonicTime instant, nanoseconds span)
{
    return span > MonotonicTime::max() - instant ? MonotonicTime::max() : instant + span;
}

nanoseconds time_until(MonotonicTime instant)
{
    const auto now = monotonic_now();
    // Compares the times before it subtracts them, because the difference between a distant past
    // and now would overflow.
    return instant > now ? instant - now : nanoseconds{0};
}

std::optional<nanoseconds> parse_duration(std::string_view text)
{
    Wide total = 0;
    // The size of the previous unit. Units must descend: "1m30s", not "30s1m" or "1s1s".
    std::int64_t previous = INT64_MAX;
    do {
        const auto whole = consume_digits(text);
        if (!whole)
            return {};
        Wide fraction = 0;
        std::size_t places = 0;
        if (text.starts_with('.')) {
            text.remove_prefix(1);
            const auto digits = consume_digits(text, &places);
            if (!digits)
                return {};
            // Refuses a fraction with more than max_places digits. Such a fraction is finer than a
            // nanosecond in every unit, or has needless zeros at its end.
            if (places > max_places)
                return {};
            fraction = *digits;
        }
        const bool plain = text.empty() && previous == INT64_MAX; // A number alone means seconds.
        const auto unit = plain ? std::optional<std::int64_t>{1'000'000'000} : consume_unit(text);
        if (!unit || *unit >= previous)
            return {};
        previous = *unit;

        Wide scale = 1;
        for (std::size_t i = 0; i < places; ++i)
            scale *= 10;
        const Wide scaled = fraction * static_cast<Wide>(*unit);
        // The fraction is finer than a nanosecond, so it has no exact value in nanoseconds.
        if (scaled % scale != 0)
            return {};
        total += *whole * static_cast<Wide>(*unit) + scaled / scale;
        if (total > INT64_MAX)
            return {};
    } while (!text.empty());
    return nanoseconds{static_cast<std::int64_t>(total)};
}

std::string to_text(nanoseconds span)
{
    constexpr std::int64_t second = 1'000'000'000;
    auto remaining = span.count();
    std::string text;
    for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
        const auto& [name, size] = *unit;
        if (remaining < size)
            continue;
        if (size > second) {
            text += fmt::format("{}{}", remaining / size, name);
            remaining %= size;
            continue;
        }
        // The remaining time is less than a minute. It is written in one unit, with a fraction.
        text += fmt::format("{}", remaining / size);
        if (const auto fraction = remaining % size; fraction != 0) {
            auto digits = fmt::format(".{:0{}}", fraction, std::to_string(size).size() - 1);
            text += digits.erase(digits.find_last_not_of('0') + 1);
        }
        return text.append(name);
    }
    return text.empty() ? "0s" : text;
}

std::string to_rfc3339(WallTime instant)
{
    const auto day = std::chrono::floor<std::chrono::days>(instant);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss time{instant - day};
    auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int{date.year()},
                            unsigned{date.month()}, unsigned{date.day()}, time.hours().count(),
                            time.minutes().count(), time.seconds().count());
    if (const auto fraction = time.subseconds().count(); fraction != 0) {
        auto digits = fmt::format(".{:09}", fraction);
        digits.erase(digits.find_last_not_of('0') + 1);
        text += digits;
    }
    return text + 'Z';
}

} // namespace evfd
