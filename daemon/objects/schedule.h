// The expirations of a timer: times on one clock, at `first` and after each further `interval`. The
// functions only calculate, and read no clock: the caller supplies the time.
#pragma once

#include "common/clock.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

struct Schedule {
    Clock clock;          // The clock on which the expirations are measured.
    nanoseconds first;    // The first expiration, as a reading of the clock; greater than 0.
    nanoseconds interval; // The time between expirations; 0 if the timer expires only once.

    bool is_once() const { return interval == nanoseconds{0}; }
    // Returns the number of expirations at or before `now`.
    std::int64_t expirations_by(nanoseconds now) const;
    // Returns the time of the expiration with this index, counted from 0. Returns nothing after the
    // last expiration or beyond the range of the clock.
    std::optional<nanoseconds> expiration(std::int64_t index) const;
    // Returns the first expiration after `now`.
    std::optional<nanoseconds> next_after(nanoseconds now) const
    {
        return expiration(expirations_by(now));
    }

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

} // namespace evfd::daemon
