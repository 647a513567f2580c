// Moments that know their clock, and the spans between them.
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

using std::chrono::nanoseconds;
using MonotonicTime = std::chrono::steady_clock::time_point; // CLOCK_MONOTONIC
using WallTime = std::chrono::sys_time<nanoseconds>;         // CLOCK_REALTIME

inline MonotonicTime monotonic_now()
{
    return std::chrono::steady_clock::now();
}
WallTime wall_now();

// `span` after a moment, or from now; the far end of the clock where that would be beyond it.
MonotonicTime later(MonotonicTime moment, nanoseconds span);
inline MonotonicTime monotonic_after(nanoseconds span)
{
    return later(monotonic_now(), span);
}
// From now until then; zero if it has passed.
nanoseconds left_until(MonotonicTime moment);

constexpr std::timespec to_timespec(nanoseconds span)
{
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
    return {static_cast<std::time_t>(seconds.count()), (span - seconds).count()};
}

// A span as people write it: "250us", "1.5s", "2m", "1m30s", or plain seconds; units ns us ms s m h
// d. Exact to the nanosecond. Nothing if it is malformed, negative, or beyond 63 bits.
std::optional<nanoseconds> parse_duration(std::string_view text);
// RFC 3339 in UTC with as many of the nine fractional digits as are needed:
// "2026-01-31T08:30:00.5Z".
std::string to_rfc3339(WallTime moment);

} // namespace evfd
