// 64 clients that set by name at the same time, compared with 64 clients of redis.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

// The results of many_clients(). `rates` are the numbers of calls a second.
struct ManyClients {
    std::vector<Comparison> comparisons;
    std::vector<Figure> rates;
};
// Compares the time for each Set with that of redis-benchmark for SET, and with SET from the same
// 64 clients.
ManyClients many_clients(const DaemonSettings& settings, int pairs);

} // namespace evfd::bench
