#include "client/c/arguments.h"

#include "client/core/umask.h"
#include "common/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace evfd::c {

namespace {

Result<std::optional<Clock>> to_clock(int clock)
{
    switch (clock) {
    case EVFD_CLOCK_USUAL: return std::nullopt;
    case EVFD_CLOCK_REALTIME: return Clock::realtime;
    case EVFD_CLOCK_MONOTONIC: return Clock::monotonic;
    case EVFD_CLOCK_BOOTTIME: return Clock::boottime;
    case EVFD_CLOCK_REALTIME_ALARM: return Clock::realtime_alarm;
    case EVFD_CLOCK_BOOTTIME_ALARM: return Clock::boottime_alarm;
    default:
        return invalid_argument(fmt::format("there is no clock {}; give an EVFD_CLOCK_", clock));
    }
}

} // namespace

Result<std::string_view> to_text(const char* name)
{
    if (!name)
        return invalid_argument("there is no name; give one");
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
    if (const auto rights = Permissions::parse(fmt::format("{:04o}", bits)))
        return *rights;
    return invalid_argument(
        fmt::format("{:04o} are no rights; give 0000 to 0666, of r and w", bits));
}

Result<Permissions> permissions_under_umask(mode_t bits)
{
    const auto rights = to_permissions(bits);
    return rights ? to_permissions(rights->bits() & ~current_umask()) : rights;
}

Result<Schedule> to_schedule(const evfd_schedule* given)
{
    if (!given)
        return invalid_argument("there is no schedule; give one, or disarm the timer");
    if (const auto known = check_flags(given->flags, EVFD_ABSOLUTE | EVFD_CANCEL_ON_CLOCK_CHANGE);
        !known)
        return std::unexpected(known.error());
    if (std::ranges::any_of(given->reserved, [](auto word) { return word != 0; }))
        return invalid_argument("a schedule's reserved words must be 0; start from {0}");
    const auto clock = to_clock(given->clock);
    if (!clock)
        return std::unexpected(clock.error());

    Schedule schedule{.interval = nanoseconds{given->interval_ns},
                      .clock = *clock,
                      .cancel_on_clock_change = (given->flags & EVFD_CANCEL_ON_CLOCK_CHANGE) != 0,
                      .sets = given->sets ? given->sets : ""};
    if ((given->flags & EVFD_ABSOLUTE) != 0)
        schedule.at = nanoseconds{given->first_ns};
    else if (given->first_ns != 0)
        schedule.after = nanoseconds{given->first_ns};
    return schedule;
}

Lifetime to_lifetime(int flags)
{
    return (flags & EVFD_TEMPORARY) != 0 ? Lifetime::connection : Lifetime::permanent;
}

Result<void> check_flags(int flags, int known)
{
    if ((flags & ~known) == 0)
        return {};
    return invalid_argument(fmt::format("flags {:#x} have no meaning here", flags & ~known));
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

Mode to_mode(int flags)
{
    for (const auto& [mode, text] : enum_names(Mode{}))
        if (from_mode(mode) == (flags & from_mode(Mode::pulse)))
            return mode;
    std::abort();
}

} // namespace evfd::c
