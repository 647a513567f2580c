// Benchmarks of calls to the daemon. Most of the baselines send the same number of bytes through a
// bare server.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Measures the time to open a name and close its descriptor, one call at a time.
Comparison open_latency(const DaemonProcess& daemon, int pairs);
// Measures the time from the Set of an event until a Wait for it ends. The time is half of that of
// a round trip.
Comparison signal_by_name(const DaemonProcess& daemon, int pairs);
// The result of create_throughput(). `rate` is the number of events that are created per second of
// the daemon's CPU time.
struct CreateThroughput {
    Comparison comparison;
    Figure rate;
};
// Measures the time to create many events, in batches of calls.
CreateThroughput create_throughput(const DaemonProcess& daemon, int pairs);
// Measures the time to set a pulse with 5,000 subscribers.
Comparison broadcast(const DaemonProcess& daemon, int pairs);

} // namespace evfd::bench
