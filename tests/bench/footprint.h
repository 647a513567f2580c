// The memory of an idle daemon, the cost of its start, and the time of a whole evfdctl process.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <string>
#include <vector>

namespace evfd::bench {

// Measures the daemon's private memory for each idle object and connection, its resident memory
// without objects and connections, and its CPU time from the start to the first reply.
std::vector<Figure> footprint(const DaemonSettings& settings);
// Compares `evfdctl set` as a whole process with a program that connects, sends, receives and
// exits.
Comparison command(const DaemonSettings& settings, const std::string& control,
                   const std::string& bare, int pairs);

} // namespace evfd::bench
