// The delay of a wake-up after a timer's expiry.
#pragma once

#include "evfd/client.h"
#include "tests/bench/comparison.h"

namespace evfd::bench {

// Compares a descriptor of an evfdd timer with a private timerfd.
Comparison timer_lateness(const Client& client, int pairs);

} // namespace evfd::bench
