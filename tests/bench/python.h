// A comparison of the Python client with Python's standard library.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Runs python_bench.py, which measures in Python what wakeup_latency() measures in C++.
Comparison python_wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
