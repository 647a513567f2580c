// CpuMeter: measures how much processor time a turn took. A turn is the time in which one
// connection is served.
//
// The wall time of a turn includes the time in which the kernel ran other processes, or had stopped
// this one. A user does not pay for that time. But reading the CPU clock of a thread is a system
// call, which takes about thirty times as long as reading the monotonic clock. So at the start of a
// turn the meter reads the CPU clock at most once in each `max_total_time`. At the end of a turn it
// reads the clock only if the turns since the last reading lasted for `max_total_time` in total.
// Such a turn took at most the processor time since the last reading. The result is exact to about
// `max_total_time`, and never less than the turn took.
#pragma once

#include "common/clock.h"
#include "daemon/limits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

// Returns the processor time that the calling thread has used so far.
nanoseconds thread_cpu_time();

class CpuMeter {
public:
    using ReadClock = nanoseconds (*)();

    explicit CpuMeter(ReadClock read_clock = &thread_cpu_time)
        : read_clock_{read_clock}, last_reading_{read_clock()}
    {
    }

    // Must be called when a turn begins. The processor time that the thread used between turns
    // belongs to no turn.
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
    // The start of the last turn at whose start the CPU clock was read.
    MonotonicTime last_begin_{};
    nanoseconds since_reading_{0}; // The wall time of the turns since the last reading.
};

} // namespace evfd::daemon
