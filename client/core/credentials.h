// Credentials: the identity of this process for a new connection. The kernel records the identity
// at connect(2) and gives it to the daemon. See SO_PEERCRED and SO_PEERGROUPS in unix(7).
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

// Returns whether this process is able to change its groups while it keeps its effective user. The
// process needs CAP_SETGID, or a saved or real group that differs from its effective group. A
// process without this ability can get it only by entering another user namespace. See
// capabilities(7) and setresgid(2).
bool can_change_groups();

} // namespace evfd
