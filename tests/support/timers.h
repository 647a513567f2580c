// What the end-to-end tests of timers have in common: the grid of a timer, as show tells it, and a
// witness of one's own for how much time went by.
#pragma once

#include "common/timerfd.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

namespace evfd::e2e {

// The points at which a timer expires. It has no last one.
struct Grid {
    nanoseconds first;
    nanoseconds interval;

    nanoseconds expiration(std::int64_t index) const { return first + index * interval; }
    // How many points are not after `now`.
    std::int64_t expirations_by(nanoseconds now) const
    {
        return now < first ? 0 : (now - first) / interval + 1;
    }
};

// Of a timer that is armed on a clock that show tells exactly: any but a span on the wall clock.
inline Grid grid_of(const Client& client, std::string_view name)
{
    const auto timer = value_or_throw(client.show(name)).timer;
    require(timer && timer->next, "the timer is not armed");
    return {*timer->next - timer->expirations * timer->interval, timer->interval};
}

inline Json show_json(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}));
}

// Returns once this much of CLOCK_MONOTONIC has gone by.
inline void wait_for_duration(nanoseconds span)
{
    const auto timerfd = value_or_throw(make_timerfd(Clock::monotonic));
    value_or_throw(set(
        timerfd, {.first = std::max(span, nanoseconds{1}), .base = TimerSetting::Base::relative}));
    require(await_readable(timerfd.get(), span + default_timeout), "the witness does not expire");
}

// While it lives no other test on this machine that has one sets the wall clock, or relies on
// nobody setting it.
class WallClockLock {
public:
    WallClockLock()
        : lock_{::open("/dev/null", O_RDONLY | O_CLOEXEC)} // Which all tests have in common.
    {
        while (::flock(lock_.get(), LOCK_EX) < 0)
            if (errno != EINTR)
                fail("flock(2)");
    }

private:
    UniqueFd lock_;
};

// What a timerfd counted by a read, and between which two moments it was read. A read that finds
// something counts all points up to its own moment.
struct TimerRead {
    nanoseconds before;
    std::int64_t count;
    nanoseconds after;
};

// Waits until it expires, then reads it.
template <class Read>
TimerRead read_next_expiration(int fd, Clock clock, Read read)
{
    require(await_readable(fd), "the timer does not expire");
    const auto before = now_on(clock);
    const auto count = static_cast<std::int64_t>(read());
    return {before, count, now_on(clock)};
}

} // namespace evfd::e2e
