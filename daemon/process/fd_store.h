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

struct HandedOver {
    std::vector<UniqueFd> sockets; // That listen.
    std::vector<UniqueFd> clients; // That were let in already.
    Vault::Descriptors vault;
    UniqueFd guard;                      // To talk with it, if there is one.
    std::vector<std::string> complaints; // A sentence each.

    bool has_vault() const; // Any part of it.
};

// What this process was started with.
HandedOver take_handed_over();

// Gives those of the vault's descriptors that it has not got to the process that listens; returns
// who has them now.
Guardian give_to_guardian(const Notifier& notifier, const Vault& vault,
                          const std::array<bool, Vault::names.size()>& which);

} // namespace evfd::daemon
