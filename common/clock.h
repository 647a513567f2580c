// Points in time on each clock, durations, and how both are written as text.
#pragma once

#include "common/enums.h"

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

using std::chrono::nanoseconds;
using MonotonicTime = std::chrono::steady_clock::time_point; // A time on CLOCK_MONOTONIC.
using WallTime = std::chrono::sys_time<nanoseconds>;         // A time on CLOCK_REALTIME.

inline MonotonicTime monotonic_now()
{
    return std::chrono::steady_clock::now();
}
WallTime wall_now();

// Adds `span` to a point in time. Returns the latest possible point in time if the sum would
// overflow.
MonotonicTime add_saturating(MonotonicTime instant, nanoseconds span);
constexpr nanoseconds add_saturating(nanoseconds instant, nanoseconds span)
{
    return span > nanoseconds::max() - instant ? nanoseconds::max() : instant + span;
}
inline MonotonicTime monotonic_deadline(nanoseconds span)
{
    return add_saturating(monotonic_now(), span);
}
// Returns the time from now until `instant`; zero if `instant` has passed.
nanoseconds time_until(MonotonicTime instant);

// Returns the number that the kernel uses for a clock.
constexpr clockid_t to_clockid(Clock clock)
{
    switch (clock) {
    case Clock::realtime: return CLOCK_REALTIME;
    case Clock::monotonic: return CLOCK_MONOTONIC;
    case Clock::boottime: return CLOCK_BOOTTIME;
    case Clock::realtime_alarm: return CLOCK_REALTIME_ALARM;
    case Clock::boottime_alarm: return CLOCK_BOOTTIME_ALARM;
    }
    return CLOCK_MONOTONIC;
}
// Returns whether the clock wakes the machine from suspend, which requires CAP_WAKE_ALARM.
constexpr bool is_alarm(Clock clock)
{
    return clock == Clock::realtime_alarm || clock == Clock::boottime_alarm;
}
// Returns whether the clock shows the time of day, which an administrator can set.
constexpr bool is_wall_clock(Clock clock)
{
    return clock == Clock::realtime || clock == Clock::realtime_alarm;
}
// Returns the present time on the clock, counted from the clock's zero. The zero of the wall clock
// is the start of 1970.
nanoseconds now_on(Clock clock);

constexpr std::timespec to_timespec(nanoseconds span)
{
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
    return {static_cast<std::time_t>(seconds.count()), (span - seconds).count()};
}

// Parses a duration such as "250us", "1.5s", "2m" or "1m30s", or a number without a unit, which
// means seconds. The units are ns, us, ms, s, m, h and d. The result is exact to the nanosecond.
// Returns nothing if the text is malformed or negative, or if the number of nanoseconds exceeds 63
// bits.
std::optional<nanoseconds> parse_duration(std::string_view text);
// Formats a duration as parse_duration() reads it: "1m30s", "20ms", "0s".
std::string to_text(nanoseconds span);
// Formats a time as RFC 3339 in UTC: "2026-01-31T08:30:00.5Z". The fraction has up to nine digits,
// without trailing zeros.
std::string to_rfc3339(WallTime instant);

} // namespace evfd
