#include "daemon/pulse.h"

#include "common/eventfd.h"

#include <vector>

namespace evfd::daemon {

Result<void> Pulse::set(std::int64_t times, const Adder& adder)
{
    pulses_ += times;
    if (followers_.size() == 0)
        return {};
    // Whichever way makes the longer batches.
    if (times > static_cast<std::int64_t>(followers_.size()))
        return followers_.for_each([&](const UniqueFd& fd) { return adder.add(fd, times); });
    std::vector<int> eventfds;
    eventfds.reserve(followers_.size());
    (void)followers_.for_each([&](const UniqueFd& fd) {
        eventfds.push_back(fd.get());
        return Result<void>{};
    });
    for (std::int64_t i = 0; i < times; ++i)
        if (const auto added = adder.add(eventfds); !added)
            return added;
    return {};
}

Result<UniqueFd> Pulse::subscribe(const Token& token, Quota::Charge charge)
{
    auto fd = make_eventfd(0, Counter::plain);
    return fd ? followers_.add(token, *std::move(fd), std::move(charge)) : std::move(fd);
}

} // namespace evfd::daemon
