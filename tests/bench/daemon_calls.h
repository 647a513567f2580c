// What goes through the daemon, against the same messages through a server that does nothing else.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// A name in, a descriptor out, which is closed; one at a time.
Comparison open_latency(const DaemonProcess& daemon, int pairs);
// A set by name until one who waits by name wakes up: there and back.
Comparison signal_by_name(const DaemonProcess& daemon, int pairs);
// Many events are made, without waiting for each answer; and how many a second a core makes.
struct CreateThroughput {
    Comparison comparison;
    Figure rate;
};
CreateThroughput create_throughput(const DaemonProcess& daemon, int pairs);
// A set of a pulse that 5,000 follow.
Comparison broadcast(const DaemonProcess& daemon, int pairs);
// A call while there are as many objects and idle clients as the daemon takes, against one who is
// alone.
Comparison scalability(const std::string& daemon, int pairs);

} // namespace evfd::bench
