// BatchSizer: chooses how many steps of a job fit into one time slice. A step increments one
// eventfd, or the eventfd of each subscriber of a pulse. The cost of a step is not known in
// advance: the kernel wakes every process that watches the eventfds, possibly thousands, and cannot
// be interrupted meanwhile. The first batch is therefore one step. The size of each later batch
// follows from the measured cost of the batch before it.
#pragma once

#include "common/clock.h"
#include "daemon/limits.h"

#include <algorithm>
#include <cstdint>

namespace evfd::daemon {

class BatchSizer {
public:
    // Returns the size of the next batch: at least 1, and at most `remaining`.
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
