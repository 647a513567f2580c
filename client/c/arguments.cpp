#include "client/c/arguments.h"

#include "client/core/umask.h"
#include "common/limits.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>

namespace evfd::c {

namespace {

// Returns the name that follows "CLOCK_" in the name of a clockid_t, or "*" if no EVFD_CLOCK_* is
// that clock.
std::string_view name_of(clockid_t clock)
{
    switch (clock) {
    case CLOCK_MONOTONIC: return "MONOTONIC";
    case CLOCK_BOOTTIME: return "BOOTTIME";
    case CLOCK_REALTIME_ALARM: return "REALTIME_ALARM";
    case CLOCK_BOOTTIME_ALARM: return "BOOTTIME_ALARM";
    default: return "*";
    }
}

} // namespace

Result<std::string_view> to_text(const char* name)
{
    if (!name)
        return invalid_argument("the name is missing; give one");
    return name;
}

Result<std::vector<std::string>> to_texts(const char* const* names, std::size_t count)
{
    if (!names || count == 0 || count > max_names_per_call)
        return invalid_argument(fmt::format("name 1 to {} objects at a time", max_names_per_call));
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
        const auto text = to_text(names[i]);
        if (!text)
            return std::unexpected(text.error());
        texts.emplace_back(*text);
    }
    return texts;
}

std::optional<nanoseconds> to_timeout(std::int64_t timeout_ns)
{
    return timeout_ns < 0 ? std::nullopt : std::optional{nanoseconds{timeout_ns}};
}

Result<Permissions> to_permissions(mode_t bits)
{
    if (const auto permissions = Permissions::parse(fmt::format("{:04o}", bits)))
        return *permissions;
    return invalid_argument(fmt::format("{:04o} is not a set of permissions; give r and w for "
                                        "owner, group and others, 0000 to 0666",
                                        bits));
}

Result<Permissions> permissions_under_umask(mode_t bits)
{
    const auto permissions = to_permissions(bits);
    return permissions ? to_permissions(permissions->bits() & ~current_umask()) : permissions;
}

// The default depends on the call alone, and not on the present
// clock of the timer. Otherwise an absolute time could be taken for a time on another clock.
Result<Clock> to_clock(int clock, bool is_absolute)
{
    switch (clock) {
    case EVFD_CLOCK_DEFAULT: return is_absolute ? Clock::realtime : Clock::monotonic;
    case EVFD_CLOCK_REALTIME: return Clock::realtime;
    case EVFD_CLOCK_MONOTONIC: return Clock::monotonic;
    case EVFD_CLOCK_BOOTTIME: return Clock::boottime;
    case EVFD_CLOCK_REALTIME_ALARM: return Clock::realtime_alarm;
    case EVFD_CLOCK_BOOTTIME_ALARM: return Clock::boottime_alarm;
    default:
        return invalid_argument(fmt::format("{} is not a clock of this library; give EVFD_CLOCK_{}",
                                            clock, name_of(clock)));
    }
}

Result<Schedule> to_schedule(const evfd_schedule* input)
{
    if (!input)
        return invalid_argument("the schedule is missing; give one, or disarm the timer");
    if (const auto known = check_flags(input->flags, EVFD_ABSOLUTE | EVFD_CANCEL_ON_CLOCK_CHANGE);
        !known)
        return std::unexpected(known.error());
    if (std::ranges::any_of(input->reserved, [](auto value) { return value != 0; }))
        return invalid_argument("the reserved fields of a schedule must be 0; start from {0}");
    const bool is_absolute = (input->flags & EVFD_ABSOLUTE) != 0;
    const auto clock = to_clock(input->clock, is_absolute);
    if (!clock)
        return std::unexpected(clock.error());

    Schedule schedule{.interval = nanoseconds{input->interval_ns},
                      .clock = *clock,
                      .cancel_on_clock_change = (input->flags & EVFD_CANCEL_ON_CLOCK_CHANGE) != 0,
                      .sets = input->sets ? input->sets : ""};
    if (is_absolute)
        schedule.at = nanoseconds{input->first_ns};
    else if (input->first_ns != 0)
        schedule.after = nanoseconds{input->first_ns};
    return schedule;
}

Lifetime to_lifetime(int flags)
{
    return (flags & EVFD_TEMPORARY) != 0 ? Lifetime::session : Lifetime::permanent;
}

Result<void> check_flags(int flags, int known)
{
    if ((flags & ~known) == 0)
        return {};
    return invalid_argument(
        fmt::format("flags {:#x} are not valid here; remove them", flags & ~known));
}

int from_mode(Mode mode)
{
    switch (mode) {
    case Mode::manual: return EVFD_MANUAL;
    case Mode::automatic: return EVFD_AUTO;
    case Mode::semaphore: return EVFD_SEMAPHORE;
    case Mode::pulse: return EVFD_PULSE;
    }
    std::abort();
}

Result<Mode> to_mode(int flags)
{
    const int selected = flags & mode_flags;
    if (selected == 0)
        return Mode::manual;
    for (const auto& [mode, text] : enum_names(Mode{}))
        if (from_mode(mode) == selected)
            return mode;
    if (selected == EVFD_TIMER)
        return invalid_argument("evfd_open() creates no timer; use evfd_arm_name()");
    return invalid_argument("an event has one mode; give one of EVFD_MANUAL, EVFD_AUTO, "
                            "EVFD_SEMAPHORE and EVFD_PULSE");
}

} // namespace evfd::c
