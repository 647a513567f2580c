// Divides the daemon's descriptor limit between objects, connections and the daemon itself. A
// daemon that starts after a crash has the same limit. The share of objects is small enough that
// the new daemon can take over all of them.
#pragma once

#include "daemon/limits.h"

#include <cstdint>

namespace evfd::daemon {

struct DescriptorBudget {
    // The descriptors of events, subscriptions, wait-only handles and processes.
    std::int64_t objects;
    std::int64_t connections;
};

// Divides `limit`, the value of RLIMIT_NOFILE. A limit that is too small leaves no room for
// objects.
DescriptorBudget descriptor_budget(std::int64_t limit);
// Raises the soft limit of RLIMIT_NOFILE to the hard limit, and divides the new limit. Throws
// std::system_error.
DescriptorBudget raise_descriptor_limit();

} // namespace evfd::daemon
