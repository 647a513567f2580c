#include "daemon/objects/pulse.h"

namespace evfd::daemon {

void Pulse::append_targets(std::int64_t times, std::vector<int>& persistent,
                           std::vector<int>& others) const
{
    const auto& each = subscriptions_.descriptors();
    for (std::int64_t i = 0; i < times; ++i) {
        persistent.insert(persistent.end(), each.persistent.begin(), each.persistent.end());
        others.insert(others.end(), each.others.begin(), each.others.end());
    }
}

} // namespace evfd::daemon
