#include "daemon/objects/event.h"

#include "common/limits.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace evfd::daemon {

Result<FdInfo> Event::state() const
{
    if (is_number())
        return FdInfo{known_number(), false};
    return read_fdinfo(fd());
}

Result<std::uint64_t> Event::count() const
{
    const auto shown = state();
    return shown ? Result<std::uint64_t>{shown->count} : std::unexpected(shown.error());
}

std::uint64_t Event::number_after(std::int64_t tokens) const
{
    if (mode() != Mode::semaphore)
        return 1;
    return std::min(known_number() + static_cast<std::uint64_t>(tokens), max_number);
}

Result<void> Event::add_to_mirror(std::int64_t tokens) const
{
    if (!descriptor_)
        return {};
    return add(fd(), mode() == Mode::semaphore ? static_cast<std::uint64_t>(tokens) : 1);
}

Result<void> Event::restore_mirror() const
{
    const auto mirrored = evfd::count(fd());
    if (!mirrored)
        return std::unexpected(mirrored.error());
    const auto shown =
        mode() == Mode::semaphore ? *mirrored : std::min<std::uint64_t>(*mirrored, 1);
    if (shown > known_number())
        return std::unexpected(Fault{"eventfd(2)", E2BIG});
    return shown < known_number() ? add(fd(), known_number() - shown) : Result<void>{};
}

Result<UniqueFd> Event::make_descriptor() const
{
    constexpr std::uint64_t max_initial = std::numeric_limits<unsigned>::max(); // See eventfd(2).
    const auto initial = std::min(known_number(), max_initial);
    auto eventfd = make_eventfd(static_cast<unsigned>(initial),
                                mode() == Mode::semaphore ? Counter::semaphore : Counter::plain);
    if (eventfd && known_number() > initial)
        if (const auto added = add(*eventfd, known_number() - initial); !added)
            return std::unexpected(added.error());
    return eventfd;
}

Result<bool> Event::take()
{
    if (known_number() == 0)
        return false;
    if (descriptor_)
        if (const auto taken = evfd::take(fd()); !taken)
            return std::unexpected(taken.error());
    set_number(mode() == Mode::semaphore ? known_number() - 1 : 0);
    return true;
}

Result<bool> Event::clear(std::optional<std::uint64_t>& remaining, const TimeSlice& slice)
{
    if (descriptor_ && mode() == Mode::semaphore)
        return is_number() ? clear_mirrored(remaining, slice) : drain(fd(), remaining, slice);
    if (descriptor_)
        if (const auto taken = evfd::take(fd()); !taken)
            return std::unexpected(taken.error());
    if (is_number())
        set_number(0);
    return true;
}

// Works like drain(). Takes the tokens of the mirror one by one, because each read(2) of a
// semaphore takes one token.
Result<bool> Event::clear_mirrored(std::optional<std::uint64_t>& remaining, const TimeSlice& slice)
{
    if (!remaining)
        remaining = known_number();
    if (*remaining > static_cast<std::uint64_t>(max_tokens_per_clear))
        return std::unexpected(Fault{"read(2)", E2BIG});
    do {
        if (remaining == 0U || known_number() == 0)
            return true;
        if (const auto taken = take(); !taken)
            return taken;
        --*remaining;
    } while (slice.left());
    return remaining == 0U || known_number() == 0;
}

void Event::append_targets(std::int64_t tokens, std::vector<int>& targets) const
{
    const auto times = mode() == Mode::semaphore ? static_cast<std::size_t>(tokens) : 1;
    targets.insert(targets.end(), times, fd().get());
}

} // namespace evfd::daemon
