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
    // The first expiration is a span from now: setting the wall clock does not move it.
    bool is_relative;
    bool cancel_on_clock_change;
    bool was_past; // The first expiration had passed when the timer was armed.
    // On the clock that gives the wanted behaviour, which may differ from `clock`.
    Schedule schedule;

    // Returns the clock of the subscribers' timerfds.
    Clock descriptor_clock() const;
};

// Resolves the request at the current time. `present` is the clock of the existing timer, if any.
// Fails with the name of the invalid field.
std::expected<TimerSpec, BadField> resolve_spec(const protocol::Arm& request,
                                                std::optional<Clock> present);

} // namespace evfd::daemon
