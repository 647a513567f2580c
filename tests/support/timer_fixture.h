// Timers in unit tests: the lock on the wall clock and waits with a deadline.
#pragma once

#include "common/timerfd.h"
#include "daemon/base/event_loop.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/timex.h>

namespace evfd {

using namespace std::chrono_literals;
using probe::await_events;

inline constexpr nanoseconds end_of_clock = nanoseconds::max();

// Excludes other tests that set the wall clock or rely on it.
class WallClockLock {
public:
    WallClockLock()
        : lock_{::open("/dev/null", O_RDONLY | O_CLOEXEC)} // A file that all tests share.
    {
        REQUIRE(lock_);
        REQUIRE(::flock(lock_.get(), LOCK_EX) == 0);
    }
    ~WallClockLock() { restore(); }
    WallClockLock(const WallClockLock&) = delete;
    WallClockLock& operator=(const WallClockLock&) = delete;

    // Sets the clock forward or back, by at most a millisecond in total. Skips the test without
    // CAP_SYS_TIME.
    void shift(nanoseconds by)
    {
        REQUIRE(std::chrono::abs(shifted_ + by) <= 1ms);
        if (!set(by))
            skip("this process may not set the wall clock");
        shifted_ += by;
    }
    void restore()
    {
        if (shifted_ != 0ns)
            CHECK(set(-shifted_));
        shifted_ = 0ns;
    }

private:
    static bool set(nanoseconds by)
    {
        timex change{};
        change.modes = ADJ_SETOFFSET | ADJ_NANO;
        change.time.tv_sec = by < 0ns ? -1 : 0;
        // Nanoseconds, because of ADJ_NANO.
        change.time.tv_usec = (by < 0ns ? by + 1s : by).count();
        return ::adjtimex(&change) >= 0;
    }

    UniqueFd lock_;
    nanoseconds shifted_{0};
};

// Returns once the clock shows at least `when`.
inline void wait_until(Clock clock, nanoseconds when)
{
    const auto timerfd = make_timerfd(clock);
    REQUIRE(timerfd);
    REQUIRE(set(*timerfd, {.first = when}));
    REQUIRE(await_events(*timerfd, POLLIN));
}

// The alarm clocks require CAP_WAKE_ALARM.
inline void skip_unless_available(Clock clock)
{
    if (!make_timerfd(clock))
        skip("this process may not wake the machine, which an alarm clock does");
}

// The bounds of a timerfd's next expiration on a clock.
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

// Runs the loop until the condition holds. False at the deadline.
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
