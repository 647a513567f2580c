// Parses absolute times on the command line, and formats times for people, in the local time zone.
#pragma once

#include "common/timestamp.h"

#include <string>

namespace evfd {

// Parses a time. Accepts what Timestamp::parse() accepts, and a time of day as "HH:MM[:SS]". A time
// of day means the next moment after `now` at which the local time is "HH:MM[:SS]".
std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now);

// Returns the date, the time and the time zone: "2026-01-31 08:30:00 CET".
std::string to_local_text(WallTime time);
// Returns the time of day with milliseconds: "08:30:00.123".
std::string to_local_time_of_day(WallTime time);

} // namespace evfd
