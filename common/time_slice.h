// A bound on the time of a loop: what does not fit waits until others were served.
//
//     const TimeSlice slice{length};
//     do
//         step();
//     while (has_more() && slice.left());
//
// A loop that asks after each step makes progress in every slice, even in one that the scheduler
// of the kernel interrupts.
#pragma once

#include "common/clock.h"

namespace evfd {

class TimeSlice {
public:
    // Begins now.
    explicit TimeSlice(nanoseconds length)
        : begin_{monotonic_now()}, end_{add_saturating(begin_, length)}
    {
    }
    static TimeSlice unlimited() { return TimeSlice{nanoseconds::max()}; }

    MonotonicTime begin() const { return begin_; }
    bool left() const { return monotonic_now() < end_; }
    nanoseconds used() const { return monotonic_now() - begin_; }

private:
    MonotonicTime begin_;
    MonotonicTime end_;
};

} // namespace evfd
