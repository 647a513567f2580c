// FdStore: the process that holds the state store's descriptors while no daemon runs. This is
// systemd, with its file descriptor store, or our own supervisor (`evfdd --supervise`).
//
// Both use the same protocol. The daemon sends FDSTORE=1 with a descriptor and its name (Notifier),
// sd_pid_notify_with_fds(3). The fd store passes everything that it holds to the next daemon, in
// the way that it passes listening sockets: LISTEN_FDS and LISTEN_FDNAMES, sd_listen_fds(3).
//
// At its start the daemon sorts the inherited descriptors by name (take_inherited_fds()) and opens
// its state store with them. Then it stores those descriptors that the fd store does not have yet
// (store_fds()): all four at the first start, none after a restart, one or two where a part could
// not be read and was recreated.
//
// What must hold:
//
// - The fd store has all four descriptors before the first reply is sent. A part of them is
//   useless.
// - An fd store does not say how many descriptors it accepts: systemd silently closes those beyond
//   FileDescriptorStoreMax=. The daemon therefore stores probes first and looks which of them are
//   still open.
#pragma once

#include "common/unique_fd.h"
#include "daemon/process/notifier.h"
#include "daemon/store/state_store.h"

#include <string>
#include <vector>

namespace evfd::daemon {

struct InheritedFds {
    std::vector<UniqueFd> sockets; // Listening sockets.
    std::vector<UniqueFd> clients; // Connections that the supervisor accepted.
    StateStore::Descriptors state_store;
    UniqueFd supervisor; // Our end of the supervisor's socketpair; invalid without one.
    std::vector<std::string> warnings; // One sentence each.

    bool has_state_store() const; // Returns whether any part was inherited.
};

// Takes the descriptors that this process was started with.
InheritedFds take_inherited_fds();

// Stores the selected descriptors of the state store in the fd store. Returns the fd store that has
// all of them now; none if it does not accept them.
FdStore store_fds(const Notifier& notifier, const StateStore& state_store,
                  const std::array<bool, StateStore::fd_names.size()>& which);

} // namespace evfd::daemon
