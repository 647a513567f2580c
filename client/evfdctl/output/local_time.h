// Parses absolute times on the command line.
#pragma once

#include "common/timestamp.h"

namespace evfd {

// Parses a time. Accepts what Timestamp::parse() accepts, and "HH:MM[:SS]", which means the next
// such time of day after `now` in the local time zone.
std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now);

} // namespace evfd
