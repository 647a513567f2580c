// The memory that a name needs.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <cstdint>
#include <vector>

namespace evfd::bench {

// Measures the memory of an event that no client has opened, with its record in the journal. The
// kernel's memory for an eventfd is not included.
std::vector<Figure> name_memory(const DaemonSettings& settings, std::int64_t names);

} // namespace evfd::bench
