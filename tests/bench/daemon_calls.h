// Calls to the daemon, compared with the same number of bytes through a bare server.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// Opens a name and closes its descriptor, one call at a time.
Comparison open_latency(const DaemonProcess& daemon, int pairs);
// Measures the time from a set by name to the end of a wait by name, by round trips.
Comparison signal_by_name(const DaemonProcess& daemon, int pairs);
// Creates many events in batches of calls; the rate is per second of the daemon's CPU time.
struct CreateThroughput {
    Comparison comparison;
    Figure rate;
};
CreateThroughput create_throughput(const DaemonProcess& daemon, int pairs);
// Sets a pulse with 5,000 subscribers.
Comparison broadcast(const DaemonProcess& daemon, int pairs);
// Compares a call to a daemon with as many objects and idle clients as it accepts with a call to an
// otherwise empty daemon.
Comparison scalability(const std::string& daemon, int pairs);

} // namespace evfd::bench
