#include "daemon/pulse.h"

#include "common/eventfd.h"

#include <vector>

namespace evfd::daemon {

Result<void> Pulse::set(std::int64_t times, const Adder& adder)
{
    pulses_ += times;
    if (followers_.empty())
        return {};
    // Whichever way makes the longer batches.
    if (times > static_cast<std::int64_t>(followers_.size())) {
        for (const auto& [token, follower] : followers_)
            if (const auto added = adder.add(follower.fd, times); !added)
                return added;
        return {};
    }
    std::vector<int> eventfds;
    eventfds.reserve(followers_.size());
    for (const auto& [token, follower] : followers_)
        eventfds.push_back(follower.fd.get());
    for (std::int64_t i = 0; i < times; ++i)
        if (const auto added = adder.add(eventfds); !added)
            return added;
    return {};
}

Result<UniqueFd> Pulse::subscribe(const Token& token, Quota::Charge charge)
{
    auto fd = make_eventfd(0, Counter::plain);
    if (!fd)
        return fd;
    auto copy = duplicate(*fd);
    if (copy)
        followers_.emplace(token, Subscription{*std::move(fd), std::move(charge)});
    return copy;
}

} // namespace evfd::daemon
