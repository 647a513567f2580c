#include "daemon/access/policy.h"

#include "common/number.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ranges>

namespace evfd::daemon {

namespace {

constexpr uid_t root = 0;
constexpr std::string_view user_prefix = "user/";

bool is_member(const Peer& peer, gid_t group)
{
    return (peer.is_group_mapped && peer.gid == group) ||
           std::ranges::find(peer.groups, group) != peer.groups.end();
}

// Returns whether the rule applies to the peer. If the peer's uid stands for many unmapped users, a
// rule for this uid applies only if it denies the permission.
bool applies_to(const Policy::Rule& rule, const Peer& peer, Permission permission)
{
    const bool is_user =
        rule.user == peer.uid && (peer.is_user_mapped || rule.denied.has(permission));
    return (!rule.user || is_user) && (!rule.group || is_member(peer, *rule.group));
}

// Returns whether the name belongs to the peer's user: the name is user/UID, or is below it.
bool is_own_name(const Peer& peer, const Name& name)
{
    return peer.is_user_mapped && namespace_owner(name) == peer.uid;
}

bool has_permission(const Peer& peer, const Ownership& object, Permission permission)
{
    switch (permission) {
    case Permission::wait: return access_of(peer, object).wait;
    case Permission::set: return access_of(peer, object).set;
    case Permission::own: return owns(peer, object);
    case Permission::create: return true; // The object does not exist yet, so it denies nothing.
    }
    std::abort();
}

} // namespace

Access access_of(const Peer& peer, const Ownership& object)
{
    if (peer.uid == root)
        return {.wait = true, .set = true};
    const unsigned shift = owns(peer, object) ? 6 : is_member(peer, object.group) ? 3 : 0;
    const auto bits = object.permissions.bits() >> shift;
    return {.wait = (bits & 4) != 0, .set = (bits & 2) != 0};
}

bool owns(const Peer& peer, const Ownership& object)
{
    return peer.uid == root || (peer.is_user_mapped && peer.uid == object.owner);
}

bool is_daemon_user(uid_t uid)
{
    return uid == root || uid == ::geteuid();
}

bool is_daemon_user(const Peer& peer)
{
    return peer.is_user_mapped && is_daemon_user(peer.uid);
}

bool sees_all_quotas(const Peer& peer)
{
    return is_daemon_user(peer);
}

bool may_wake_machine(const Peer& peer)
{
    return is_daemon_user(peer);
}

bool is_in_user_namespace(std::string_view name_or_prefix)
{
    return name_or_prefix.starts_with(user_prefix);
}

// A uid with leading zeros is not accepted. If it were, a user would own names below several
// spellings of one uid.
std::optional<uid_t> namespace_owner(const Name& name)
{
    if (!is_in_user_namespace(name.text()))
        return {};
    auto text = name.text().substr(user_prefix.size());
    text = text.substr(0, text.find('/'));
    return text.size() > 1 && text.front() == '0' ? std::nullopt : parse_number<uid_t>(text);
}

bool Policy::allows(const Peer& peer, const Name& name, Permission permission) const
{
    if (peer.uid == root)
        return true;
    if (is_in_user_namespace(name.text()))
        return is_own_name(peer, name);
    // Rules cannot bind the daemon's user, who could start another daemon without rules.
    if (is_daemon_user(peer))
        return true;
    // The cheap tests of a rule come first. The test of the groups comes last, because a peer can
    // have thousands of groups.
    for (const auto& rule : rules | std::views::reverse)
        if ((rule.allowed.has(permission) || rule.denied.has(permission)) &&
            name.text().starts_with(rule.prefix) && applies_to(rule, peer, permission))
            return rule.allowed.has(permission);
    return allows_by_default;
}

// A List call uses sees() for every object. The permissions are tested first, because the rules
// cost more time.
bool sees(const Policy& policy, const Peer& peer, const Name& name, const Ownership& object)
{
    if (peer.uid == root)
        return true;
    if (is_in_user_namespace(name.text()))
        return is_own_name(peer, name);
    const auto access = access_of(peer, object);
    return owns(peer, object) || (access.wait && policy.allows(peer, name, Permission::wait)) ||
           (access.set && policy.allows(peer, name, Permission::set));
}

std::optional<DeniedBy> check_access(const Policy* policy, const Peer& peer, const Name& name,
                                     const Ownership* object, Permission permission)
{
    if (permission == Permission::create && !peer.is_user_mapped)
        return DeniedBy::unmapped;
    if (policy && !policy->allows(peer, name, permission))
        return DeniedBy::policy;
    if (object && !has_permission(peer, *object, permission))
        return DeniedBy::permissions;
    return {};
}

} // namespace evfd::daemon
