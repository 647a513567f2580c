// Who keeps the vault's descriptors while there is no daemon: systemd, in its descriptor store, or
// `evfdd --guard`. Both are told FDSTORE=1 (Notifier), and hand them to the next daemon as sockets
// are handed over. sd_listen_fds(3)
#pragma once

#include "common/unique_fd.h"
#include "daemon/process/notifier.h"
#include "daemon/store/state_store.h"

#include <string>
#include <vector>

namespace evfd::daemon {

struct InheritedFds {
    std::vector<UniqueFd> sockets; // That listen.
    std::vector<UniqueFd> clients; // That were let in already.
    StateStore::Descriptors state_store;
    UniqueFd supervisor;               // To talk with it, if there is one.
    std::vector<std::string> warnings; // A sentence each.

    bool has_state_store() const; // Any part of it.
};

// What this process was started with.
InheritedFds take_inherited_fds();

// Gives those of the vault's descriptors that it has not got to the process that listens; returns
// who has them now.
FdStore store_fds(const Notifier& notifier, const StateStore& state_store,
                  const std::array<bool, StateStore::fd_names.size()>& which);

} // namespace evfd::daemon
