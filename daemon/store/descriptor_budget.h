// Divides the daemon's descriptor limit between objects, connections and the daemon itself. The
// next daemon has the same limit, so the share of objects leaves enough room to take all of them
// over.
#pragma once

#include "daemon/limits.h"

#include <cstdint>

namespace evfd::daemon {

struct DescriptorBudget {
    std::int64_t objects; // Events, subscriptions, wait-only handles and processes.
    std::int64_t connections;
};

// Divides `limit`, the value of RLIMIT_NOFILE. A limit that is too small leaves no room for
// objects.
DescriptorBudget descriptor_budget(std::int64_t limit);
// Raises the soft limit of RLIMIT_NOFILE to the hard limit and returns its division. Throws
// std::system_error.
DescriptorBudget raise_descriptor_limit();

} // namespace evfd::daemon
