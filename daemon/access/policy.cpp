#include "daemon/access/policy.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <ranges>

namespace evfd::daemon {

namespace {

constexpr uid_t root = 0;
constexpr std::string_view users = "user/";

bool is_member(const Peer& peer, gid_t group)
{
    return (peer.is_group_mapped && peer.gid == group) ||
           std::ranges::find(peer.groups, group) != peer.groups.end();
}

// A number that stands for many users is allowed nothing by a rule for the one; but denied it is.
bool is_for(const Policy::Rule& rule, const Peer& peer, Right right)
{
    const bool is_user = rule.user == peer.uid && (peer.is_user_mapped || rule.denied.has(right));
    return (!rule.user || is_user) && (!rule.group || is_member(peer, *rule.group));
}

// Whether the name is below what is its own.
bool is_its_own(const Peer& peer, const Name& name)
{
    return peer.is_user_mapped && user_of(name) == peer.uid;
}

bool has_right(const Peer& peer, const Ownership& object, Right right)
{
    switch (right) {
    case Right::wait: return access_of(peer, object).wait;
    case Right::set: return access_of(peer, object).set;
    case Right::own: return owns(peer, object);
    case Right::create: return true; // No object has a say in that.
    }
    std::abort();
}

} // namespace

Access access_of(const Peer& peer, const Ownership& object)
{
    if (peer.uid == root)
        return {.wait = true, .set = true};
    const unsigned shift = owns(peer, object) ? 6 : is_member(peer, object.group) ? 3 : 0;
    const auto bits = object.rights.bits() >> shift;
    return {.wait = (bits & 4) != 0, .set = (bits & 2) != 0};
}

bool owns(const Peer& peer, const Ownership& object)
{
    return peer.uid == root || (peer.is_user_mapped && peer.uid == object.owner);
}

bool runs_daemon(uid_t uid)
{
    return uid == root || uid == ::geteuid();
}

bool runs_daemon(const Peer& peer)
{
    return peer.is_user_mapped && runs_daemon(peer.uid);
}

bool sees_all_quotas(const Peer& peer)
{
    return runs_daemon(peer);
}

bool may_wake_machine(const Peer& peer)
{
    return runs_daemon(peer);
}

bool is_of_users(std::string_view name_or_prefix)
{
    return name_or_prefix.starts_with(users);
}

// One spelling for each user, or what is one's own could be had under another name.
std::optional<uid_t> user_of(const Name& name)
{
    if (!is_of_users(name.text()))
        return {};
    auto text = std::string_view{name.text()}.substr(users.size());
    text = text.substr(0, text.find('/'));
    uid_t uid = 0;
    const auto* end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, uid);
    if (error != std::errc{} || stopped != end || (text.size() > 1 && text.front() == '0'))
        return {};
    return uid;
}

bool Policy::lets(const Peer& peer, const Name& name, Right right) const
{
    if (peer.uid == root)
        return true;
    if (is_of_users(name.text()))
        return is_its_own(peer, name);
    if (runs_daemon(peer)) // Whose daemon it is could take another one.
        return true;
    // What is asked of a rule goes from cheap to dear: a peer can have thousands of groups.
    for (const auto& rule : rules | std::views::reverse)
        if ((rule.allowed.has(right) || rule.denied.has(right)) &&
            name.text().starts_with(rule.prefix) && is_for(rule, peer, right))
            return rule.allowed.has(right);
    return allows_by_default;
}

// A list asks of each object: what a rule costs is not spent on those whose rights say no.
bool sees(const Policy& policy, const Peer& peer, const Name& name, const Ownership& object)
{
    if (peer.uid == root)
        return true;
    if (is_of_users(name.text()))
        return is_its_own(peer, name);
    const auto access = access_of(peer, object);
    return owns(peer, object) || (access.wait && policy.lets(peer, name, Right::wait)) ||
           (access.set && policy.lets(peer, name, Right::set));
}

std::optional<Denial> denial(const Policy* policy, const Peer& peer, const Name& name,
                             const Ownership* object, Right right)
{
    if (right == Right::create && !peer.is_user_mapped)
        return Denial::unmapped;
    if (policy && !policy->lets(peer, name, right))
        return Denial::policy;
    if (object && !has_right(peer, *object, right))
        return Denial::rights;
    return {};
}

} // namespace evfd::daemon
