// How many at a time. What an addition to an event costs is up to those who hold it: the kernel
// wakes each of the thousands that may watch it, and is not to be stopped in that. So it is tried
// with one, and from what that took follows how many fit in a slice of time.
#pragma once

#include "common/clock.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace evfd::daemon {

// What nobody else minds being kept waiting for; much is done in so many slices as it takes.
inline constexpr std::chrono::microseconds slice{250};

class Pace {
public:
    // Of those that are left, at least one.
    std::int64_t next(std::int64_t left) const
    {
        return std::clamp<std::int64_t>(slice / each_, 1, std::max<std::int64_t>(left, 1));
    }
    void took(std::int64_t count, nanoseconds time)
    {
        each_ = std::max(time / count, nanoseconds{1});
    }

private:
    nanoseconds each_ = slice;
};

} // namespace evfd::daemon
