// Parses absolute times on the command line.
#pragma once

#include "common/timestamp.h"

namespace evfd {

// Parses a time. Accepts what Timestamp::parse() accepts, and a time of day as "HH:MM[:SS]". A time
// of day means the next moment after `now` at which the local time is "HH:MM[:SS]".
std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now);

} // namespace evfd
