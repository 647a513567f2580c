// The uid and gid that the kernel reports for all users and groups that our user namespace does not
// map: see user_namespaces(7).
#pragma once

#include "common/socket.h"

#include <sys/types.h>

#include <optional>
#include <string_view>

namespace evfd {

// The two overflow ids. An overflow id is empty if our user namespace maps all ids, because in this
// case each number stands for exactly one user or group.
struct OverflowIds {
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
};

// Returns the overflow ids that this process sees. The first call reads them from /proc. If
// /proc/self/uid_map cannot be read, assumes that some uids are not mapped; likewise for gid_map.
const OverflowIds& overflow_ids();

// Returns whether the text of /proc/PID/uid_map or gid_map maps every id of the machine.
bool maps_all_ids(std::string_view map);

// If the peer's uid is an overflow id, marks the user as unmapped. If the peer's gid is an overflow
// id, marks the group as unmapped. Removes overflow ids from the supplementary groups.
Peer mark_unmapped_ids(Peer peer, const OverflowIds& overflow);

} // namespace evfd
