// The uid and the gid by which the kernel tells us of all users and groups that our user namespace
// does not map. user_namespaces(7)
#pragma once

#include "common/socket.h"

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace evfd {

// Nothing: all are mapped, and each number is one user or group.
struct OverflowIds {
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
};

// Of this process, as it is at the first call. What cannot be read is taken to map not all.
const OverflowIds& overflow_ids();

// Whether the text of /proc/PID/uid_map or gid_map has a number for every id of the machine.
bool maps_all_ids(std::string_view map);

// Which of its numbers are of nobody in particular is noted; such groups are left out.
Peer mark_unmapped_ids(Peer peer, const OverflowIds& overflow);

} // namespace evfd
