// FdStore: the process that holds the state store's descriptors while no daemon runs. This is
// systemd, with its file descriptor store, or our own supervisor (`evfdd --supervise`).
//
// systemd and the supervisor use the same protocol. The daemon sends FDSTORE=1 with a descriptor
// and its name (Notifier), sd_pid_notify_with_fds(3). The fd store passes all descriptors that it
// holds to the next daemon, in the way that it passes listening sockets: LISTEN_FDS and
// LISTEN_FDNAMES, sd_listen_fds(3).
//
// At its start the daemon sorts the inherited descriptors by name (take_inherited_fds()) and opens
// its state store with them. Then it stores those descriptors that the fd store does not have yet
// (store_fds()). At its first start the daemon stores all four descriptors, and after a restart it
// stores none. If a part of the state store could not be read and was created again, the daemon
// stores the one or two descriptors of that part.
//
// Invariants:
//
// - The fd store has all four descriptors before the first reply is sent. Some of them are useless
//   without the others.
// - An fd store does not say how many descriptors it accepts: systemd silently closes those beyond
//   FileDescriptorStoreMax=. The daemon therefore stores probe descriptors first and checks which
//   of them are still open.
#pragma once

#include "common/unique_fd.h"
#include "daemon/process/notifier.h"
#include "daemon/store/state_store.h"

#include <string>
#include <vector>

namespace evfd::daemon {

struct InheritedFds {
    std::vector<UniqueFd> sockets; // The listening sockets.
    std::vector<UniqueFd> clients; // The connections that the supervisor accepted.
    StateStore::Descriptors state_store;
    // The daemon's end of the socketpair to its supervisor; invalid without a supervisor.
    UniqueFd supervisor;
    // One sentence for each descriptor that was not recognized and was closed.
    std::vector<std::string> warnings;

    // Returns whether any descriptor of the state store was inherited.
    bool has_state_store() const;
};

// Returns the descriptors that this process was started with, sorted by purpose. The caller owns
// them.
InheritedFds take_inherited_fds();

// Sends descriptors of the state store to the fd store. `which` selects the descriptors.
// Returns the fd store that has all of the state store's descriptors now. Returns FdStore::none if
// there is no fd store, or if the fd store does not accept all of them.
FdStore store_fds(const Notifier& notifier, const StateStore& state_store,
                  const std::array<bool, StateStore::fd_names.size()>& which);

} // namespace evfd::daemon
