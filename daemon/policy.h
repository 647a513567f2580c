// Who may do what with an object: the one place that decides.
#pragma once

#include "common/rights.h"
#include "common/socket.h"

namespace evfd::daemon {

// Whose an object is, and what it allows whom.
struct Ownership {
    uid_t owner;
    gid_t group;
    Rights rights;
};

// As for a file: the owner's bits for the owner, else the group's for its members, else the
// others'. Root may all. path_resolution(7)
Access access_of(const Peer& peer, const Ownership& object);
// May delete it and change its rights.
bool owns(const Peer& peer, const Ownership& object);

// May know what others have of the daemon.
bool sees_all_quotas(uid_t uid);

// May have the machine woken from suspend, which the daemon's own capability does for whoever asks.
bool may_wake_machine(const Peer& peer);

} // namespace evfd::daemon
