// The descriptors of the state store, which outlive a daemon.
#pragma once

#include "daemon/store/state_store.h"

#include <fcntl.h>

#include <cstddef>

namespace evfd::daemon {

// Returns duplicates of the state store's descriptors, as an fd store would have them.
inline StateStore::Descriptors stored_fds_of(const StateStore& state_store)
{
    StateStore::Descriptors stored;
    const auto descriptors = state_store.descriptors();
    for (std::size_t i = 0; i < stored.size(); ++i)
        stored[i] = UniqueFd{::fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3)};
    return stored;
}

} // namespace evfd::daemon
