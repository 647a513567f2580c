// Measures how long after the expiration of a timer a waiting process wakes up.
#pragma once

#include "evfd/client.h"
#include "tests/bench/comparison.h"

namespace evfd::bench {

// Compares a descriptor of an evfdd timer with a private timerfd.
Comparison timer_lateness(const Client& client, int pairs);

} // namespace evfd::bench
