// From a set in one process to the wake-up in another: there and back.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

// Of events whose descriptors evfdd handed over, against eventfds that the two have from each
// other.
std::vector<Comparison> wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
