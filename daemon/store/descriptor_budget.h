// Divides the daemon's descriptor limit between objects, connections and the daemon itself. After a
// crash the next daemon has the same limit and takes over all objects. The share of objects is
// therefore small enough that the next daemon can open all of their descriptors.
#pragma once

#include "daemon/limits.h"

#include <cstdint>

namespace evfd::daemon {

struct DescriptorBudget {
    // The highest number of descriptors of events, subscriptions, wait-only handles and processes.
    std::int64_t objects;
    std::int64_t connections;
};

// Divides `limit`, the value of RLIMIT_NOFILE. If the limit is too small, objects get no share.
DescriptorBudget descriptor_budget(std::int64_t limit);
// Raises the soft limit of RLIMIT_NOFILE to the hard limit, and divides the new limit. Throws
// std::system_error.
DescriptorBudget raise_descriptor_limit();

} // namespace evfd::daemon
