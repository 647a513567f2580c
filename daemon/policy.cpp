#include "daemon/policy.h"

#include <unistd.h>

#include <algorithm>

namespace evfd::daemon {

namespace {

constexpr uid_t root = 0;

bool is_member(const Peer& peer, gid_t group)
{
    return peer.gid == group || std::ranges::find(peer.groups, group) != peer.groups.end();
}

} // namespace

Access access_of(const Peer& peer, const Ownership& object)
{
    if (peer.uid == root)
        return {.wait = true, .set = true};
    const unsigned shift = peer.uid == object.owner ? 6 : is_member(peer, object.group) ? 3 : 0;
    const auto bits = object.rights.bits() >> shift;
    return {.wait = (bits & 4) != 0, .set = (bits & 2) != 0};
}

bool owns(const Peer& peer, const Ownership& object)
{
    return peer.uid == root || peer.uid == object.owner;
}

bool sees_all_quotas(uid_t uid)
{
    return uid == root || uid == ::geteuid();
}

bool may_wake_machine(const Peer& peer)
{
    return peer.uid == root || peer.uid == ::geteuid();
}

} // namespace evfd::daemon
