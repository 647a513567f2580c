// What goes through the daemon, against the same messages through a server that does nothing else.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/bench/daemon_process.h"

namespace evfd::bench {

// A name in, a descriptor out, which is closed; one at a time.
Comparison opening(const House& house, int pairs);
// A set by name until one who waits by name wakes up: there and back.
Comparison passing(const House& house, int pairs);
// Many events are made, without waiting for each answer; and how many a second a core makes.
struct Making {
    Comparison comparison;
    Figure rate;
};
Making making(const House& house, int pairs);
// A set of a pulse that 5,000 follow.
Comparison pulsing(const House& house, int pairs);
// A call while there are as many objects and idle clients as the daemon takes, against one who is
// alone.
Comparison crowd(const std::string& daemon, int pairs);

} // namespace evfd::bench
