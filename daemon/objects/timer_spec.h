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
    // The request gave the first expiration as a span from the present, so setting the wall clock
    // does not move the expiration.
    bool is_relative;
    bool cancel_on_clock_change;
    bool was_past; // The first expiration had passed when the timer was armed.
    // The times of the expirations. Their clock can differ from `clock`: a span on the wall clock
    // is kept on a clock that nobody sets.
    Schedule schedule;

    // Returns the clock of the subscribers' timerfds.
    Clock descriptor_clock() const;
};

// Checks the request, and returns its settings as of the current time. `present` is the clock of
// the timer, if the timer already exists. Fails with the name of the invalid field.
std::expected<TimerSpec, BadField> resolve_spec(const protocol::Arm& request,
                                                std::optional<Clock> present);

} // namespace evfd::daemon
