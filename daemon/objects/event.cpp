#include "daemon/objects/event.h"

#include <cerrno>

namespace evfd::daemon {

Result<UniqueFd> Event::make_descriptor(Mode mode, std::int64_t initial)
{
    return make_eventfd(static_cast<unsigned>(initial),
                        mode == Mode::semaphore ? Counter::semaphore : Counter::plain);
}

Result<void> Event::set(std::int64_t tokens, const EventfdIncrementer& incrementer)
{
    if (mode_ != Mode::semaphore)
        tokens = 1;
    if (!is_shared_) {
        const auto added = add(fd(), static_cast<std::uint64_t>(tokens));
        if (added || added.error().error != EAGAIN)
            return added;
    }
    // If the counter has no room for all tokens, this call fills the counter.
    return incrementer.add(fd(), tokens);
}

void Event::append_targets(std::int64_t tokens, std::vector<int>& targets) const
{
    const auto times = mode_ == Mode::semaphore ? static_cast<std::size_t>(tokens) : 1;
    targets.insert(targets.end(), times, fd().get());
}

Result<bool> Event::clear(std::optional<std::uint64_t>& remaining, const TimeSlice& slice) const
{
    if (mode_ == Mode::semaphore)
        return drain(fd(), remaining, slice);
    const auto taken = evfd::take(fd());
    return taken ? Result<bool>{true} : std::unexpected(taken.error());
}

std::shared_ptr<const UniqueFd> Event::share()
{
    is_shared_ = true;
    return eventfd_.share();
}

} // namespace evfd::daemon
