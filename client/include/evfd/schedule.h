// Schedule: when a timer expires.
#pragma once

#include "common/clock.h"

#include <optional>
#include <string>

namespace evfd {

// A schedule has a first expiry, relative (`after`) or absolute (`at`), and then one expiry after
// each interval. Without `after` and `at`, the first expiry comes after one interval. A new
// schedule replaces the previous schedule completely: a field that is not set gets its default, not
// its previous value.
//
//     Schedule{.interval = 20ms}                                // every 20 ms
//     Schedule{.after = 1s}                                     // once, in a second
//     Schedule{.at = when.time_since_epoch(), .interval = 24h}  // daily, from `when` on
struct Schedule {
    // The time from now to the first expiry. Setting the wall clock does not change when the timer
    // expires.
    std::optional<nanoseconds> after = {};
    // The time of the first expiry, counted from the zero of the timer's clock (1970 for the wall
    // clock). If the time is in the past, the timer expires immediately.
    std::optional<nanoseconds> at = {};
    // The time between expirations. 0 means that the timer expires once. With `sets`, the minimum
    // is 1 ms.
    nanoseconds interval{0};
    // The clock of the schedule. By default an existing timer keeps its clock. The default of a new
    // timer is realtime with `at`, and monotonic without `at`. The alarm clocks wake the machine
    // from suspend.
    std::optional<Clock> clock = {};
    // If true, setting the wall clock disarms the timer, and waiters get ErrorCode::cancelled.
    // Valid only with `at` on realtime or realtime_alarm.
    bool cancel_on_clock_change = false;
    std::string sets = {}; // The name of an event that each expiry sets. Empty: none.
};

} // namespace evfd
