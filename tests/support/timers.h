// Functions for timers in end-to-end tests: the times of a timer's expirations as Show reports
// them, and waits of an exact duration.
#pragma once

#include "common/timerfd.h"
#include "tests/support/daemon_process.h"
#include "tests/support/wall_clock.h"

#include <algorithm>

namespace evfd::e2e {

// The times at which a periodic timer expires: `first`, and then after each `interval`.
struct Grid {
    nanoseconds first;
    nanoseconds interval;

    nanoseconds expiration(std::int64_t index) const { return first + index * interval; }
    // Returns the number of expirations that are not after `now`.
    std::int64_t expirations_by(nanoseconds now) const
    {
        return now < first ? 0 : (now - first) / interval + 1;
    }
};

// Returns the times at which an armed timer expires. The result is exact, except for a timer that
// was armed with a relative time on the wall clock.
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

// Waits until CLOCK_MONOTONIC has advanced by `span`.
inline void wait_for_duration(nanoseconds span)
{
    const auto timerfd = value_or_throw(make_timerfd(Clock::monotonic));
    value_or_throw(set(
        timerfd, {.first = std::max(span, nanoseconds{1}), .base = TimerSetting::Base::relative}));
    require(await_readable(timerfd.get(), span + default_timeout), "the timerfd does not expire");
}

// The count that a read of a timerfd returned, with the times just before and just after the read.
// The count includes every expiration up to the moment of the read.
struct TimerRead {
    nanoseconds before;
    std::int64_t count;
    nanoseconds after;
};

// Waits until the timerfd is readable and reads it.
template <class Read>
TimerRead read_next_expiration(int fd, Clock clock, Read read)
{
    require(await_readable(fd), "the timer does not expire");
    const auto before = now_on(clock);
    const auto count = static_cast<std::int64_t>(read());
    return {before, count, now_on(clock)};
}

} // namespace evfd::e2e
