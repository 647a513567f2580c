#include "daemon/objects/event.h"

#include "common/limits.h"

#include <algorithm>
#include <cerrno>
#include <limits>

namespace evfd::daemon {

Result<FdInfo> Event::state() const
{
    if (number_)
        return FdInfo{*number_, false};
    return read_fdinfo(fd());
}

Result<std::uint64_t> Event::count() const
{
    const auto shown = state();
    return shown ? Result<std::uint64_t>{shown->count} : std::unexpected(shown.error());
}

std::uint64_t Event::number_after(std::int64_t tokens) const
{
    if (mode_ != Mode::semaphore)
        return 1;
    return std::min(*number_ + static_cast<std::uint64_t>(tokens), max_number);
}

Result<void> Event::add_to_mirror(std::int64_t tokens) const
{
    if (!descriptor_)
        return {};
    return add(fd(), mode_ == Mode::semaphore ? static_cast<std::uint64_t>(tokens) : 1);
}

Result<void> Event::restore_mirror() const
{
    const auto mirrored = evfd::count(fd());
    if (!mirrored)
        return std::unexpected(mirrored.error());
    const auto shown = mode_ == Mode::semaphore ? *mirrored : std::min<std::uint64_t>(*mirrored, 1);
    if (shown > *number_)
        return std::unexpected(Fault{"eventfd(2)", E2BIG});
    return shown < *number_ ? add(fd(), *number_ - shown) : Result<void>{};
}

Result<UniqueFd> Event::make_descriptor() const
{
    constexpr std::uint64_t max_initial = std::numeric_limits<unsigned>::max(); // See eventfd(2).
    const auto initial = std::min(*number_, max_initial);
    auto eventfd = make_eventfd(static_cast<unsigned>(initial),
                                mode_ == Mode::semaphore ? Counter::semaphore : Counter::plain);
    if (eventfd && *number_ > initial)
        if (const auto added = add(*eventfd, *number_ - initial); !added)
            return std::unexpected(added.error());
    return eventfd;
}

Result<bool> Event::take()
{
    if (*number_ == 0)
        return false;
    if (descriptor_)
        if (const auto taken = evfd::take(fd()); !taken)
            return std::unexpected(taken.error());
    number_ = mode_ == Mode::semaphore ? *number_ - 1 : 0;
    return true;
}

Result<bool> Event::clear(std::optional<std::uint64_t>& remaining, const TimeSlice& slice)
{
    if (descriptor_ && mode_ == Mode::semaphore)
        return number_ ? clear_mirrored(remaining, slice) : drain(fd(), remaining, slice);
    if (descriptor_)
        if (const auto taken = evfd::take(fd()); !taken)
            return std::unexpected(taken.error());
    if (number_)
        number_ = 0;
    return true;
}

// Works like drain(). Takes the tokens of the mirror one by one, because each read(2) of a
// semaphore takes one token.
Result<bool> Event::clear_mirrored(std::optional<std::uint64_t>& remaining, const TimeSlice& slice)
{
    if (!remaining)
        remaining = *number_;
    if (*remaining > static_cast<std::uint64_t>(max_tokens_per_clear))
        return std::unexpected(Fault{"read(2)", E2BIG});
    do {
        if (remaining == 0U || number_ == 0U)
            return true;
        if (const auto taken = take(); !taken)
            return taken;
        --*remaining;
    } while (slice.left());
    return remaining == 0U || number_ == 0U;
}

void Event::append_targets(std::int64_t tokens, std::vector<int>& targets) const
{
    const auto times = mode_ == Mode::semaphore ? static_cast<std::size_t>(tokens) : 1;
    targets.insert(targets.end(), times, fd().get());
}

} // namespace evfd::daemon
