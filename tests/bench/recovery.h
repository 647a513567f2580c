// The CPU time that a daemon needs to recover very many names.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <cstdint>

namespace evfd::bench {

// Measures the CPU time of a daemon whose predecessor was killed, from its start to its first
// reply.
Figure recovery(const DaemonSettings& settings, std::int64_t names);

} // namespace evfd::bench
