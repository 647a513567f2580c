// TimeSlice: limits the time of a loop. Steps that do not fit into the slice are left for later,
// after other work.
//
//     const TimeSlice slice{length};
//     do
//         step();
//     while (has_more() && slice.left());
//
// A loop that calls left() after each step makes progress in every slice, even if the scheduler of
// the kernel interrupts the slice.
#pragma once

#include "common/clock.h"

namespace evfd {

class TimeSlice {
public:
    // Creates a slice that begins now.
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
