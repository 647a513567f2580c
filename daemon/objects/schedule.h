// The expirations of a timer: points on the grid of one clock, at `first` and at each `interval`
// after it. Pure arithmetic; the caller supplies the time.
#pragma once

#include "common/clock.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

struct Schedule {
    Clock clock;          // The clock of the grid.
    nanoseconds first;    // Measured from the clock's zero; greater than 0.
    nanoseconds interval; // 0 if the timer expires once.

    bool is_once() const { return interval == nanoseconds{0}; }
    // Returns how many expirations are not after `now`.
    std::int64_t expirations_by(nanoseconds now) const;
    // Returns the expiration with that index, from 0. Returns nothing after the last expiration or
    // beyond the range of the clock.
    std::optional<nanoseconds> expiration(std::int64_t index) const;
    // Returns the first expiration after `now`.
    std::optional<nanoseconds> next_after(nanoseconds now) const
    {
        return expiration(expirations_by(now));
    }

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

} // namespace evfd::daemon
