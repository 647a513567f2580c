#include "client/core/schedule_request.h"

#include "client/core/time_namespace.h"
#include "client/core/validation.h"

#include <fmt/format.h>

#include <string_view>

namespace evfd {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// Returns the first reason why a timer cannot have this schedule, or "" if it can. The daemon
// checks each schedule again.
std::string_view find_error(const Schedule& schedule)
{
    constexpr nanoseconds zero{0};
    const auto& [after, at, interval, clock, cancels, sets] = schedule;
    if ((after && *after < zero) || interval < zero)
        return "a duration cannot be negative; give 0 or more";
    if (at && *at < zero)
        return "a time cannot be before the clock's zero (1970 for the wall clock); give a later "
               "one";
    if (after && at)
        return "a first expiry is a duration or a time, not both; give one of them";
    if (!after && !at && interval == zero)
        return "a timer needs a first expiry or an interval; give one, or disarm it to stop it";
    if (after.value_or(at.value_or(interval)) == zero && interval == zero)
        return "a first expiry at 0 with no interval means never; give one, or disarm it";
    if (!at && after.value_or(interval) > nanoseconds::max() - now_on(Clock::realtime))
        return "a timer cannot expire after the year 2262; give a shorter duration";
    if (cancels && (!at || (clock && !is_wall_clock(*clock))))
        return "only a time on the realtime clock is cancelled by a change of the clock; give a "
               "time, or omit the option";
    return {};
}

// Refuses a time on a clock that has an offset in this time namespace, because the time means
// another moment outside of the namespace.
// A schedule without a clock is not checked. If the timer is new and the schedule has a time, the
// timer gets the wall clock, which has no offset. If the timer exists, only the daemon knows the
// clock of the timer.
Expected<void> check_clock_offset(const Schedule& schedule)
{
    if (!schedule.at || !schedule.clock || !has_namespace_offset(*schedule.clock))
        return {};
    return std::unexpected(Error{
        ErrorCode::invalid,
        fmt::format("a time on the clock {} cannot be given in a time namespace with an offset, "
                    "because it differs outside; give a duration, or a time on the realtime clock",
                    to_string(*schedule.clock))});
}

} // namespace

Expected<protocol::Arm> to_arm_request(const Name& name, const Schedule& schedule)
{
    if (const auto reason = find_error(schedule); !reason.empty())
        return std::unexpected(Error{ErrorCode::invalid, std::string{reason}});
    if (auto same = check_clock_offset(schedule); !same)
        return std::unexpected(std::move(same.error()));
    protocol::Arm request{.name = name,
                          .clock = schedule.clock,
                          .first = schedule.at,
                          .after = schedule.after,
                          .interval = schedule.interval,
                          .cancel_on_clock_change = schedule.cancel_on_clock_change};
    if (schedule.sets.empty())
        return request;

    auto event = to_name(schedule.sets);
    if (!event)
        return std::unexpected(std::move(event.error()));
    if (*event == name)
        return std::unexpected(Error{
            ErrorCode::invalid,
            fmt::format("'{}' cannot set itself; name the event for it to set", name.text())});
    constexpr nanoseconds least{min_target_interval};
    if (schedule.interval > nanoseconds{0} && schedule.interval < least)
        return std::unexpected(Error{
            ErrorCode::invalid,
            fmt::format(
                "a timer that sets an event needs an interval of at least {} ms; give a longer one",
                duration_cast<milliseconds>(least).count())});
    request.sets = *std::move(event);
    return request;
}

} // namespace evfd
