// When a timer is to expire, as one asks for it.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string>

namespace evfd {

// A first expiry, given as a span from now *or* as a moment, and then one after each interval. With
// neither of the two, the first is after one interval. What is not given in a new schedule is not
// so any more.
//
//     Schedule{.interval = 20ms}                                    // every 20 ms
//     Schedule{.after = 1s}                                         // once, in a second
//     Schedule{.at = when.time_since_epoch(), .interval = 24h}      // daily, from `when` on
struct Schedule {
    std::optional<nanoseconds> after = {}; // From now. Setting the wall clock does not move it.
    // Since the clock's zero, which is 1970 for the wall clock. One that has passed expires at
    // once.
    std::optional<nanoseconds> at = {};
    nanoseconds interval{0}; // 0: it expires once. At least 1 ms if it sets an event.
    // If not given, the clock that the timer goes by already; a new one goes by realtime with `at`,
    // else by monotonic. The alarm clocks wake the machine from suspend.
    std::optional<Clock> clock = {};
    // When the wall clock is set, the timer is disarmed, and who waits is told. With `at` on
    // realtime.
    bool cancel_on_clock_change = false;
    std::string sets = {}; // The event that is set at each expiry.
};

} // namespace evfd
