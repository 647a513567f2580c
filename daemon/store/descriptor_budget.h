// Divides the daemon's descriptor limit between objects, connections and the daemon itself. The
// next daemon has the same limit, so the share of objects leaves enough room to take all of them
// over.
#pragma once

#include <cstdint>

namespace evfd::daemon {

struct DescriptorBudget {
    std::int64_t objects; // Events, timers and subscriptions.
    std::int64_t connections;
};

// Descriptors that the daemon itself needs: 0 to 2, the state store, listening sockets, event
// loops, signals and clocks.
inline constexpr std::int64_t reserved_for_daemon = 24;
// The least number of descriptors left for clients and their replies. A daemon that recovers keeps
// this many free while it reads the stash.
inline constexpr std::int64_t reserved_for_clients = 32;

// Divides `limit`, the value of RLIMIT_NOFILE. A limit that is too small leaves no room for
// objects.
DescriptorBudget descriptor_budget(std::int64_t limit);
// Raises the soft limit of RLIMIT_NOFILE to the hard limit and returns its division. Throws
// std::system_error.
DescriptorBudget raise_descriptor_limit();

} // namespace evfd::daemon
