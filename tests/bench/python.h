// A comparison of the Python client with Python's standard library.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Measures what wakeup_latency() measures, but in Python: runs python_bench.py.
Comparison python_wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
