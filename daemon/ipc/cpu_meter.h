// CpuMeter: measures how much processor time a turn took. A turn is the time in which one
// connection is served.
//
// The wall time of a turn includes the time in which the kernel ran other processes, or had stopped
// this process. A user does not pay for that time. But reading the CPU clock of a thread is a
// system call. It takes about thirty times as long as reading the monotonic clock. The meter
// therefore reads the CPU clock rarely:
//
// - At the start of a turn, the meter reads the clock at most once in each `max_total_time`.
// - At the end of a turn, the meter reads the clock only if the turns since the last reading lasted
//   for `max_total_time` in total. The result is then the processor time since the last reading,
//   but at most the wall time of the turn. Without a reading, the result is the wall time.
//
// The result is never less than the processor time of the turn, and is exact to about
// `max_total_time`.
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

    // Must be called when a turn begins. If the CPU clock was not read for a while, the function
    // reads it, so that processor time used long before the turn is not charged to the turn.
    void begin_turn(MonotonicTime now)
    {
        if (now - last_begin_ < max_total_time)
            return;
        last_begin_ = now;
        last_reading_ = read_clock_();
        since_reading_ = nanoseconds{0};
    }
    // Returns the processor time to charge for a turn that lasted for `wall_time`. The result is at
    // most `wall_time`.
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
    // The time when begin_turn() last read the CPU clock.
    MonotonicTime last_begin_{};
    nanoseconds since_reading_{0}; // The total wall time of the turns since the CPU clock was read.
};

} // namespace evfd::daemon
