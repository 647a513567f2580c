// Who this process is to a daemon that it connects to now. A daemon goes by what the kernel tells
// of the moment of connect(2): SO_PEERCRED and SO_PEERGROUPS, unix(7).
#pragma once

#include <sys/types.h>

#include <vector>

namespace evfd {

struct Credentials {
    uid_t uid = 0; // The effective ones.
    gid_t gid = 0;
    std::vector<gid_t> groups = {};

    static Credentials now(); // Of this thread.
    friend bool operator==(const Credentials&, const Credentials&) = default;
};

} // namespace evfd
