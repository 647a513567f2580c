// What a timer is armed with: its schedule, and how a change of the wall clock bears on it.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/objects/schedule.h"

#include <expected>
#include <optional>

namespace evfd::daemon {

struct TimerSpec {
    Clock clock;      // As asked for.
    bool is_relative; // A span from the moment of arming: the wall clock does not move it.
    bool cancel_on_clock_change;
    bool was_past;     // The first point, when it was armed.
    Schedule schedule; // On the clock that moves as this is to move, which may be another one.

    // Whose timerfds follow it.
    Clock descriptor_clock() const;
};

// What the request asks for, at this moment; `present` is the clock that the timer goes by already.
// Or which field is wrong.
std::expected<TimerSpec, BadField> resolve_spec(const protocol::Arm& request,
                                                std::optional<Clock> present);

} // namespace evfd::daemon
