// When a timer expires: points on a grid of one clock, `first`, then each `interval` after it. Pure
// arithmetic; what time it is the caller says.
#pragma once

#include "common/clock.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

struct Schedule {
    Clock clock;          // Of the grid.
    nanoseconds first;    // Since the clock's zero; more than 0.
    nanoseconds interval; // 0: it expires once.

    bool is_once() const { return interval == nanoseconds{0}; }
    // How many points are not after `now`.
    std::int64_t expirations_by(nanoseconds now) const;
    // The point with that index, from 0; nothing beyond the last one, or the end of the clock.
    std::optional<nanoseconds> expiration(std::int64_t index) const;
    // The first point after `now`.
    std::optional<nanoseconds> next_after(nanoseconds now) const
    {
        return expiration(expirations_by(now));
    }

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

} // namespace evfd::daemon
