// The list of the benchmarks of evfdd-bench.
#pragma once

#include "tests/bench/daemon_process.h"
#include "tests/bench/report.h"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace evfd::bench {

struct Setup {
    DaemonSettings daemon;
    std::int64_t names; // The number of names of the benchmarks that need very many.
    int pairs;
};

// A function that measures and adds the results to the report.
using Benchmark = std::function<void(Report&, const Setup&)>;

// Returns all benchmarks, each with its name for the option --only.
std::vector<std::pair<std::string, Benchmark>> benchmarks();

} // namespace evfd::bench
