// Functions for tests that set the wall clock forward or back by at most a millisecond, and for
// tests that fail if another test sets the wall clock.
//
// The clock belongs to the whole machine, and CTest runs several tests at once. Therefore every
// test that sets the clock, and every test that fails if another test sets the clock, must hold a
// WallClockLock.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/timex.h>

#include <cerrno>
#include <chrono>

namespace evfd {

using namespace std::chrono_literals;

// Moves the wall clock by `by`. Returns whether that succeeded.
inline bool move_wall_clock(nanoseconds by)
{
    const auto whole = std::chrono::floor<std::chrono::seconds>(by);
    timex change{};
    change.modes = ADJ_SETOFFSET | ADJ_NANO;
    change.time.tv_sec = whole.count();
    change.time.tv_usec = (by - whole).count(); // With ADJ_NANO, tv_usec is in nanoseconds.
    return ::adjtimex(&change) >= 0;
}

// A lock for the wall clock. While a test has this object, every other test that creates a
// WallClockLock waits.
class WallClockLock {
public:
    WallClockLock()
        // All tests lock this file, which exists on every machine.
        : lock_{::open("/dev/null", O_RDONLY | O_CLOEXEC)}
    {
        int result = -1;
        do {
            result = ::flock(lock_.get(), LOCK_EX);
        } while (result < 0 && errno == EINTR);
        REQUIRE(result == 0);
    }
    ~WallClockLock() { restore(); }
    WallClockLock(const WallClockLock&) = delete;
    WallClockLock& operator=(const WallClockLock&) = delete;

    // Sets the wall clock forward or back. The sum of all shifts must be at most a millisecond.
    // Skips the test if this process is not allowed to set the clock (CAP_SYS_TIME).
    void shift(nanoseconds by)
    {
        REQUIRE(std::chrono::abs(shifted_ + by) <= 1ms);
        if (!move_wall_clock(by))
            skip("this process may not set the wall clock");
        shifted_ += by;
    }
    void restore()
    {
        if (shifted_ != 0ns)
            CHECK(move_wall_clock(-shifted_));
        shifted_ = 0ns;
    }

private:
    UniqueFd lock_;
    nanoseconds shifted_{0};
};

} // namespace evfd

namespace evfd::e2e {

using namespace std::chrono_literals;

inline constexpr nanoseconds shift = 1ms;

// While this object lives, the wall clock is a millisecond ahead.
class Ahead {
public:
    Ahead() : is_moved_{move_wall_clock(shift)} {}
    ~Ahead()
    {
        if (is_moved_)
            move_wall_clock(-shift);
    }
    Ahead(const Ahead&) = delete;
    Ahead& operator=(const Ahead&) = delete;

private:
    bool is_moved_;
};

inline void skip_unless_wall_clock_can_be_set()
{
    if (!move_wall_clock(0ns))
        skip("this process may not set the wall clock");
}

// Sets the wall clock forward by a millisecond and then back.
inline void set_wall_clock_and_back()
{
    const Ahead ahead;
}

} // namespace evfd::e2e
