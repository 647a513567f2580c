#include "client/evfdctl/output/local_time.h"

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

} // namespace

std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now)
{
    const auto time = parse_time_of_day(text);
    if (!time)
        return Timestamp::parse(text);
    const auto then = next_at(*time, now);
    return then ? std::optional{Timestamp{*then, false}} : std::nullopt;
}

} // namespace evfd
