// Absolute times on the command line.
#pragma once

#include "common/timestamp.h"

namespace evfd {

// Accepts what Timestamp::parse() accepts, and "HH:MM[:SS]": the next such time after `now` in
// the local time zone.
std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now);

} // namespace evfd
