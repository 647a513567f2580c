// The Python client compared with Python's standard library.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Does the same as wakeup_latency(), in python_bench.py.
Comparison python_wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
