// A point in time as people write it.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string_view>

namespace evfd {

struct Timestamp {
    nanoseconds since_zero; // Of the wall clock, that is since 1970.
    bool is_clock_neutral;  // "@12.5" can be meant for any clock: since that one's zero.
};

// RFC 3339 ("2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00+01:00") or "@SECONDS[.FRACTION]".
// Nothing if it is neither, before 1970 or beyond 63 bits.
std::optional<Timestamp> parse_timestamp(std::string_view text);
// "HH:MM[:SS]", since midnight.
std::optional<std::chrono::seconds> parse_time_of_day(std::string_view text);

} // namespace evfd
