#include "daemon/objects/timer_spec.h"

#include "common/limits.h"

#include <limits>

namespace evfd::daemon {

namespace {

std::unexpected<BadField> invalid_field(std::string_view field)
{
    return std::unexpected(BadField{std::string{field}});
}

// Returns the clock on which the schedule is kept. A relative time on a wall clock is measured on a
// clock that nobody can set. The kernel measures relative times in this way for a timerfd of
// CLOCK_REALTIME, but not for a timerfd of CLOCK_REALTIME_ALARM.
Clock grid_clock(Clock clock, bool is_relative)
{
    if (!is_relative || !is_wall_clock(clock))
        return clock;
    return is_alarm(clock) ? Clock::boottime_alarm : Clock::monotonic;
}

} // namespace

Clock TimerSpec::descriptor_clock() const
{
    // A timerfd of CLOCK_REALTIME accepts absolute and relative times. So a timer on this clock can
    // be armed again with the other kind of time, while subscribers keep their timerfds.
    return clock == Clock::realtime ? clock : schedule.clock;
}

std::expected<TimerSpec, BadField> resolve_spec(const protocol::Arm& request,
                                                std::optional<Clock> present)
{
    const auto interval = request.interval.value_or(nanoseconds{0});
    const bool is_relative = !request.first.has_value();
    if (request.first && request.after)
        return invalid_field("afterNSec");
    if (!request.first && !request.after && interval == nanoseconds{0})
        return invalid_field("intervalNSec");
    if (request.sets && interval > nanoseconds{0} && interval < nanoseconds{min_target_interval})
        return invalid_field("intervalNSec");
    if (request.sets == request.name)
        return invalid_field("sets");

    const auto clock =
        request.clock.value_or(present.value_or(is_relative ? Clock::monotonic : Clock::realtime));
    const bool cancels = request.cancel_on_clock_change.value_or(false);
    if (cancels && (is_relative || !is_wall_clock(clock)))
        return invalid_field("cancelOnClockChange");

    const auto grid = grid_clock(clock, is_relative);
    const auto now = now_on(grid);
    const auto given = is_relative ? request.after.value_or(interval) : *request.first;
    if (given == nanoseconds{0} && interval == nanoseconds{0})
        return invalid_field(is_relative ? "afterNSec" : "firstNSec");
    if (is_relative && given > nanoseconds::max() - now)
        return invalid_field(request.after ? "afterNSec" : "intervalNSec");
    // timerfd_settime(2) takes a first expiration of 0 as "disarm". If the caller gave an absolute
    // first expiration of 0, the first expiration is therefore one interval after 0.
    const auto first = is_relative ? now + given : given == nanoseconds{0} ? interval : given;
    return TimerSpec{.clock = clock,
                     .is_relative = is_relative,
                     .cancel_on_clock_change = cancels,
                     .was_past = !is_relative && first <= now,
                     .schedule = {grid, first, interval}};
}

} // namespace evfd::daemon
