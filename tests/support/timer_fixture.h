// Functions for timers in unit tests: waits with a deadline, and the bounds of an expiration.
#pragma once

#include "common/timerfd.h"
#include "daemon/base/event_loop.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"
#include "tests/support/wall_clock.h"

namespace evfd {

using namespace std::chrono_literals;
using probe::await_events;

inline constexpr nanoseconds end_of_clock = nanoseconds::max();

// Waits until the clock shows `when` or a later time.
inline void wait_until(Clock clock, nanoseconds when)
{
    const auto timerfd = make_timerfd(clock);
    REQUIRE(timerfd);
    REQUIRE(set(*timerfd, {.first = when}));
    REQUIRE(await_events(*timerfd, POLLIN));
}

// Skips the test if this process is not allowed to use the clock. The alarm clocks require
// CAP_WAKE_ALARM.
inline void skip_unless_available(Clock clock)
{
    if (!make_timerfd(clock))
        skip("this process may not wake the machine, which an alarm clock does");
}

// The earliest and the latest possible time of a timerfd's next expiration, on one clock.
struct Expiry {
    nanoseconds from;
    nanoseconds to;

    bool overlaps(const Expiry& other) const { return from <= other.to && other.from <= to; }
    Expiry plus(nanoseconds span) const { return {from + span, to + span}; }
};

inline Expiry expiry_of(const UniqueFd& timerfd, Clock clock)
{
    const auto deadline = monotonic_deadline(20s);
    while (true) {
        const auto before = now_on(clock);
        const auto left = time_left(timerfd);
        const auto after = now_on(clock);
        REQUIRE(left);
        if (after - before < 100us || time_until(deadline) == 0ns)
            return {before + *left, after + *left};
    }
}

// Runs the loop until the condition holds. Returns false at the deadline.
template <class Condition>
bool run_until(daemon::EventLoop& loop, Condition condition)
{
    const auto deadline = monotonic_deadline(20s);
    while (!condition()) {
        const auto left = time_until(deadline);
        if (left == 0ns)
            return false;
        REQUIRE(loop.run_once(left));
    }
    return true;
}

} // namespace evfd
