#include "client/core/schedule_request.h"

#include "client/core/time_namespace.h"
#include "client/core/validation.h"

#include <fmt/format.h>

#include <string_view>

namespace evfd {

namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

// The first reason why no timer can be armed so, if there is one. The daemon checks the same.
std::string_view find_error(const Schedule& schedule)
{
    constexpr nanoseconds zero{0};
    const auto& [after, at, interval, clock, cancels, sets] = schedule;
    if ((after && *after < zero) || interval < zero)
        return "a span of time cannot be negative; give one of 0 or more";
    if (at && *at < zero)
        return "a moment cannot be before the clock's zero, which is 1970 for the wall clock";
    if (after && at)
        return "a first expiry is a span from now or a moment, not both; give one of them";
    if (!after && !at && interval == zero)
        return "a timer needs a first expiry or an interval; give one, or disarm it to stop it";
    if (after.value_or(at.value_or(interval)) == zero && interval == zero)
        return "a first expiry at 0 with no interval means never; give one, or disarm it";
    if (!at && after.value_or(interval) > nanoseconds::max() - now_on(Clock::realtime))
        return "a timer cannot expire after the year 2262; give a shorter span";
    if (cancels && (!at || (clock && !is_wall_clock(*clock))))
        return "only a moment on the realtime clock is cancelled by a change of the clock; give a "
               "moment, or leave that out";
    return {};
}

// Of a timer whose clock is not named only the daemon knows by which it goes; it is the wall
// clock's, but for one that was armed by another before.
Expected<void> check_clock_offset(const Schedule& schedule)
{
    if (!schedule.at || !schedule.clock || !has_namespace_offset(*schedule.clock))
        return {};
    return std::unexpected(
        Error{ErrorCode::invalid,
              fmt::format(
                  "a moment on the clock {} cannot be given in a time namespace with an offset, as "
                  "it is another one outside; give a span from now, or a moment on the realtime "
                  "clock",
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
            fmt::format("'{}' cannot set itself; name an event that it is to set", name.text())});
    constexpr nanoseconds least{min_target_interval};
    if (schedule.interval > nanoseconds{0} && schedule.interval < least)
        return std::unexpected(Error{
            ErrorCode::invalid,
            fmt::format("a timer can set an event every {} ms at most; give a longer interval",
                        duration_cast<milliseconds>(least).count())});
    request.sets = *std::move(event);
    return request;
}

} // namespace evfd
