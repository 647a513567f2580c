// The Python client against what Python's standard library has.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// As waking(), by python_bench.py.
Comparison waking_in_python(const House& house, int pairs);

} // namespace evfd::bench
