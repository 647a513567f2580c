// The longest turn of the daemon's event loop while there is much to do. No other client is served
// during a turn.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <cstdint>
#include <string>
#include <vector>

namespace evfd::bench {

// Measures the longest turns, in CPU time, while events are created, listed and deleted. `clock` is
// the library turn_clock.c.
std::vector<Figure> longest_turns(const DaemonSettings& settings, std::int64_t names,
                                  const std::string& clock);

} // namespace evfd::bench
