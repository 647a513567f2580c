// A call to a daemon that has very much to keep, compared with the same call to an empty daemon.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <cstdint>
#include <vector>

namespace evfd::bench {

// Compares calls for one name beside many names, of which some are armed timers and some are waited
// for, and beside idle clients, with calls to a daemon that has only this name and one client.
std::vector<Comparison> scalability(const DaemonSettings& settings, std::int64_t names, int pairs);

} // namespace evfd::bench
