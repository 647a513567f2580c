// Sets and wake-ups on descriptors, compared with other means of the kernel and with redis.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Compares a semaphore of evfdd with a POSIX semaphore.
Comparison semaphore(const DaemonSettings& settings, int pairs);
// Compares an auto event with a byte through a FIFO.
Comparison fifo(const DaemonSettings& settings, int pairs);
// Compares a Set of a pulse with 100 subscribers with PUBLISH of redis.
Comparison publish(const DaemonSettings& settings, int pairs);

} // namespace evfd::bench
