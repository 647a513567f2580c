// evfdctl, compared with other programs for shell scripts.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

// Compares the duration of a process of `evfdctl set`, from its start to its exit, with the
// duration of a process of redis-cli, tmux, s6 or flock.
std::vector<Comparison> shell(const DaemonSettings& settings, int pairs);

} // namespace evfd::bench
