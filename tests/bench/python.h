// The Python client against what Python's standard library has.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// As waking(), by python_bench.py.
Comparison python_wakeup_latency(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
