// Parses points in time.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string_view>

namespace evfd {

struct Timestamp {
    nanoseconds since_zero; // Since 1970 for the wall clock.
    bool is_clock_neutral;  // "@12.5" is valid for every clock, since its zero.
};

// Parses RFC 3339 ("2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00+01:00") or "@SECONDS[.FRACTION]".
// Returns nothing if the text is neither, or the time is before 1970 or beyond 63 bits.
std::optional<Timestamp> parse_timestamp(std::string_view text);
// Parses "HH:MM[:SS]" to the time since midnight.
std::optional<std::chrono::seconds> parse_time_of_day(std::string_view text);

} // namespace evfd
