// Of the descriptors that the daemon may have open, how many are for what: so that all that it said
// it keeps can be taken over by the next one, which has no more than it.
#pragma once

#include <cstdint>

namespace evfd::daemon {

struct DescriptorBudget {
    std::int64_t objects; // And subscriptions.
    std::int64_t connections;
};

// The daemon's own, whatever it does: 0 to 2, the vault's, its sockets, loops, signals and clocks.
inline constexpr std::int64_t reserved_for_daemon = 24;
// At least, for clients and their answers. While a daemon takes over what is parked it leaves so
// many free.
inline constexpr std::int64_t reserved_for_clients = 32;

// `limit`: RLIMIT_NOFILE. If it is too small for all, there is no room for objects.
DescriptorBudget descriptor_budget(std::int64_t limit);
// That of as many as the hard limit allows; from now on they can be had. Throws std::system_error.
DescriptorBudget raise_descriptor_limit();

} // namespace evfd::daemon
