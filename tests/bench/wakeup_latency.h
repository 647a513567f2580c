// Measures the time from a set in one process to the wake-up in another process, as half of a round
// trip.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

// Compares descriptors of evfdd's events with eventfds that both processes inherited.
std::vector<Comparison> wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
