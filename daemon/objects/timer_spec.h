// The settings of an armed timer: its schedule and its behaviour when the wall clock is set
// (compare itimerspec).
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/objects/schedule.h"

#include <expected>
#include <optional>

namespace evfd::daemon {

struct TimerSpec {
    Clock clock; // The clock that the caller asked for.
    // True if the request gave the first expiration relative to the present. Setting the wall clock
    // does not move such an expiration.
    bool is_relative;
    bool cancel_on_clock_change;
    bool was_past; // True if the first expiration had passed when the timer was armed.
    // The times of the expirations. The clock of the schedule can differ from `clock`: a time
    // relative to the present is not measured on the wall clock, but on a clock that nobody can
    // set.
    Schedule schedule;

    // Returns the clock of the subscribers' timerfds.
    Clock descriptor_clock() const;
};

// Checks the request and returns the settings of the timer. A relative first expiration is counted
// from now. `present` is the clock of the timer, if the timer already exists. Fails with the name
// of the invalid field.
std::expected<TimerSpec, BadField> resolve_spec(const protocol::Arm& request,
                                                std::optional<Clock> present);

} // namespace evfd::daemon
