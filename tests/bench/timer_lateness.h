// How late a wake-up is after the point at which a timer expires.
#pragma once

#include "evfd/client.h"
#include "tests/bench/comparison.h"

namespace evfd::bench {

// Of a timer that evfdd handed over, against a timerfd of one's own.
Comparison timer_lateness(const Client& client, int pairs);

} // namespace evfd::bench
