// The CPU time that the daemon uses to list very many names.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <cstdint>
#include <vector>

namespace evfd::bench {

// Measures the daemon's CPU time from a List call to the first reply, and to the last reply.
std::vector<Figure> listing(const DaemonSettings& settings, std::int64_t names);

} // namespace evfd::bench
