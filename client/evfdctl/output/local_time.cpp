#include "client/evfdctl/output/local_time.h"

#include <fmt/format.h>

#include <array>
#include <ctime>

namespace evfd {

namespace {

using std::chrono::seconds;

// Returns the next time after `now`, today or tomorrow, at which local clocks show this time of
// day.
std::optional<nanoseconds> next_at(seconds time_of_day, WallTime now)
{
    const auto now_seconds = std::chrono::system_clock::to_time_t(
        std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
    const std::chrono::hh_mm_ss parts{time_of_day};
    for (const int day : {0, 1}) {
        std::tm local{};
        ::localtime_r(&now_seconds, &local);
        local.tm_mday += day;
        local.tm_isdst = -1; // mktime(3) determines whether daylight saving time applies.
        local.tm_hour = static_cast<int>(parts.hours().count());
        local.tm_min = static_cast<int>(parts.minutes().count());
        local.tm_sec = static_cast<int>(parts.seconds().count());
        const auto then = WallTime{seconds{::mktime(&local)}};
        if (then > now)
            return then.time_since_epoch();
    }
    return {};
}

std::tm local_parts(WallTime time)
{
    const auto whole = std::chrono::floor<seconds>(time.time_since_epoch()).count();
    const auto since_epoch = static_cast<std::time_t>(whole);
    std::tm local{};
    ::localtime_r(&since_epoch, &local);
    return local;
}

std::string formatted(WallTime time, const char* format)
{
    const auto local = local_parts(time);
    std::array<char, 64> text{};
    return {text.data(), std::strftime(text.data(), text.size(), format, &local)};
}

} // namespace

std::string to_local_text(WallTime time)
{
    return formatted(time, "%Y-%m-%d %H:%M:%S %Z");
}

std::string to_local_time_of_day(WallTime time)
{
    const auto since_epoch = time.time_since_epoch();
    const auto part = since_epoch - std::chrono::floor<seconds>(since_epoch);
    return fmt::format("{}.{:03}", formatted(time, "%H:%M:%S"),
                       std::chrono::floor<std::chrono::milliseconds>(part).count());
}

std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now)
{
    const auto time = parse_time_of_day(text);
    if (!time)
        return Timestamp::parse(text);
    const auto then = next_at(*time, now);
    return then ? std::optional{Timestamp{*then, false}} : std::nullopt;
}

} // namespace evfd
