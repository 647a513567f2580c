// Credentials: the identity of this process for a new connection. The kernel records it at
// connect(2) and gives it to the daemon: SO_PEERCRED and SO_PEERGROUPS, unix(7).
#pragma once

#include <sys/types.h>

#include <vector>

namespace evfd {

struct Credentials {
    uid_t uid = 0; // Effective user.
    gid_t gid = 0;
    std::vector<gid_t> groups = {};

    static Credentials now(); // Returns those of the calling thread.
    friend bool operator==(const Credentials&, const Credentials&) = default;
};

} // namespace evfd
