// A point in time as people write it on a command line.
#pragma once

#include "common/timestamp.h"

namespace evfd {

// As parse_timestamp() of what both ends share, or "HH:MM[:SS]": the next one in the local time
// zone after `now`.
std::optional<Timestamp> parse_timestamp(std::string_view text, WallTime now);

} // namespace evfd
