// Changes of the wall clock by a millisecond and back.
#pragma once

#include "common/clock.h"
#include "tests/support/catch.h"
#include "tests/support/skip.h"

#include <sys/timex.h>

#include <chrono>

namespace evfd::e2e {

using namespace std::chrono_literals;

inline constexpr nanoseconds shift = 1ms;

// Returns whether the clock was set.
inline bool move_wall_clock(nanoseconds by)
{
    const auto whole = std::chrono::floor<std::chrono::seconds>(by);
    timex change{};
    change.modes = ADJ_SETOFFSET | ADJ_NANO;
    change.time.tv_sec = whole.count();
    change.time.tv_usec = (by - whole).count(); // Nanoseconds, because of ADJ_NANO.
    return ::adjtimex(&change) >= 0;
}

// The wall clock is a millisecond ahead while this object lives.
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

// Moves the clock forward and back.
inline void set_wall_clock_and_back()
{
    const Ahead ahead;
}

} // namespace evfd::e2e
