#include "daemon/objects/pulse.h"

namespace evfd::daemon {

void Pulse::append_targets(std::int64_t times, std::vector<int>& persistent,
                           std::vector<int>& others) const
{
    for (std::int64_t i = 0; i < times; ++i)
        for (const auto& [token, subscription] : subscriptions_.all())
            (subscription.is_persistent() ? persistent : others).push_back(subscription.fd().get());
}

} // namespace evfd::daemon
