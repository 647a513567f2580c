// Tells how much processor time a turn took.
//
// The wall time of a turn includes the time in which the kernel ran other processes, or had stopped
// this one. A user does not pay for that. But reading the CPU clock of a thread is a system call,
// about thirty times as long as reading the monotonic clock. So the meter reads it at most once in
// each `max_total_time`, and at the end of a turn that makes the turns since then as long as that:
// the turn took at most the processor time since the last reading. That is exact to about
// `max_total_time`, and never less than the turn took.
#pragma once

#include "common/clock.h"
#include "daemon/limits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

// Returns the time for which the calling thread has run so far.
nanoseconds thread_cpu_time();

class CpuMeter {
public:
    using ReadClock = nanoseconds (*)();

    explicit CpuMeter(ReadClock read_clock = &thread_cpu_time)
        : read_clock_{read_clock}, last_reading_{read_clock()}
    {
    }

    // A turn begins now. What the thread did between turns belongs to none of them.
    void begin_turn(MonotonicTime now)
    {
        if (now - last_begin_ < max_total_time)
            return;
        last_begin_ = now;
        last_reading_ = read_clock_();
        since_reading_ = nanoseconds{0};
    }
    // Returns the processor time of a turn that lasted for `wall_time`.
    nanoseconds cpu_time_of(nanoseconds wall_time)
    {
        since_reading_ += wall_time;
        if (since_reading_ < max_total_time)
            return wall_time;
        since_reading_ = nanoseconds{0};
        const auto now = read_clock_();
        return std::clamp(now - std::exchange(last_reading_, now), nanoseconds{0}, wall_time);
    }

private:
    ReadClock read_clock_;
    nanoseconds last_reading_;
    MonotonicTime last_begin_{};   // The last begin of a turn at which the clock was read.
    nanoseconds since_reading_{0}; // Wall time of the turns since the last reading.
};

} // namespace evfd::daemon
