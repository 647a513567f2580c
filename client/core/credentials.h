// Credentials: the identity of this process for a new connection. The kernel records it at
// connect(2) and gives it to the daemon: SO_PEERCRED and SO_PEERGROUPS, unix(7).
#pragma once

#include <sys/types.h>

#include <vector>

namespace evfd {

struct Credentials {
    uid_t uid = 0; // The effective user.
    gid_t gid = 0;
    std::vector<gid_t> groups = {};

    static Credentials now(); // Returns the credentials of the calling thread.
    friend bool operator==(const Credentials&, const Credentials&) = default;
};

// Returns whether this process may change its groups and keep its effective user: it has
// CAP_SETGID, or its real, effective and saved group are not the same. A process that cannot do so
// today can only do so later through another user namespace. capabilities(7), setresgid(2)
bool can_change_groups();

} // namespace evfd
