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
inline constexpr std::chrono::microseconds time_slice{250};

class BatchSizer {
public:
    // Of those that are left, at least one.
    std::int64_t next_batch(std::int64_t remaining) const
    {
        return std::clamp<std::int64_t>(time_slice / time_per_item_, 1,
                                        std::max<std::int64_t>(remaining, 1));
    }
    void record(std::int64_t count, nanoseconds time)
    {
        time_per_item_ = std::max(time / count, nanoseconds{1});
    }

private:
    nanoseconds time_per_item_ = time_slice;
};

} // namespace evfd::daemon
