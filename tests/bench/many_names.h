// ManyNames: creates events by the million, each with a name of 20 bytes, and reports how many of
// them the daemon accepted.
#pragma once

#include "tests/bench/daemon_process.h"

#include <cstdint>
#include <string>

namespace evfd::bench {

// The result of a request for many objects.
struct ManyNames {
    std::int64_t wanted;
    std::int64_t accepted;
    std::string refusal = {}; // The error of the first call that the daemon refused.
};

// Returns the name of the event `number`. Its length is 20 bytes.
std::string name_of(std::int64_t number);
// Creates the events 0 to `count` - 1, in batches of calls. Stops after the first batch in which
// the daemon refuses a call.
ManyNames create_names(const DaemonProcess& daemon, std::int64_t count);
// Arms the timers 0 to `count` - 1 in the same way. None of them expires during a benchmark. The
// names of the timers are not those of the events.
ManyNames arm_timers(const DaemonProcess& daemon, std::int64_t count);
// Deletes the events that create_names() created, in batches of calls.
void delete_names(const DaemonProcess& daemon, const ManyNames& names);
// Returns, for example, "1,000,000 names". If the daemon accepted fewer names than were wanted:
// "14,999 names (not 1,000,000: io.evfdd.OutOfDescriptors)".
std::string describe(const ManyNames& names);

} // namespace evfd::bench
