// A point in time as people write it on a command line.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string_view>

namespace evfd {

struct Moment {
    nanoseconds since_zero; // Of the wall clock, that is since 1970.
    bool is_of_any_clock;   // "@12.5" can be meant for any clock: since that one's zero.
};

// RFC 3339 ("2026-01-31T08:30:00.5Z", "2026-01-31T08:30:00+01:00"), "@SECONDS[.FRACTION]", or
// "HH:MM[:SS]", the next one in the local time zone after `now`. Nothing if it is none of them,
// before 1970 or beyond 63 bits.
std::optional<Moment> parse_moment(std::string_view text, WallTime now);

} // namespace evfd
