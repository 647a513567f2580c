// Measures how long after the expiration of a timer a waiting process wakes up.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Compares a descriptor of an evfdd timer with a private timerfd.
Comparison timer_lateness(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
