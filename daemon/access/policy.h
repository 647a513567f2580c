// Who may do what: the one place that decides.
#pragma once

#include "common/enums.h"
#include "common/name.h"
#include "common/permissions.h"
#include "common/socket.h"

#include <bitset>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

// Whose an object is, and what it allows whom.
struct Ownership {
    uid_t owner;
    gid_t group;
    Permissions permissions;
};

// As for a file: the owner's bits for the owner, else the group's for its members, else the
// others'. Root may all. A user or group that is not mapped is no owner and no member.
// path_resolution(7)
Access access_of(const Peer& peer, const Ownership& object);
// May delete it and change its rights.
bool owns(const Peer& peer, const Ownership& object);

// Root, or the user as whom the daemon runs: of a daemon of one's own, oneself.
bool is_daemon_user(uid_t uid);
bool is_daemon_user(const Peer& peer);

// May know what others have of the daemon.
bool sees_all_quotas(const Peer& peer);

// May have the machine woken from suspend, which the daemon's own capability does for whoever asks.
bool may_wake_machine(const Peer& peer);

// Each is compared with a name at each request.
inline constexpr std::size_t max_policy_rules = 1'024;

// What the administrator lets whom do under which names. It only takes away: with its leave, the
// rights of an object still decide.
struct Policy {
    class PermissionSet {
    public:
        void add(Permission right) { bits_.set(static_cast<std::size_t>(right)); }
        bool has(Permission right) const { return bits_[static_cast<std::size_t>(right)]; }
        bool empty() const { return bits_.none(); }
        friend bool operator==(const PermissionSet&, const PermissionSet&) = default;

    private:
        std::bitset<enum_names(Permission{}).size()> bits_;
    };

    // Of names that begin so. With neither user nor group it is for everyone.
    struct Rule {
        std::string prefix;
        std::optional<uid_t> user = {};
        std::optional<gid_t> group = {};
        PermissionSet allowed = {}; // No verb is both allowed and denied.
        PermissionSet denied = {};
        friend bool operator==(const Rule&, const Rule&) = default;
    };

    // Permission::own is to delete and to change rights. Root may all, and whose daemon it is all
    // but what is below user/ for others.
    bool allows(const Peer& peer, const Name& name, Permission right) const;
    friend bool operator==(const Policy&, const Policy&) = default;

    bool allows_by_default = true; // Where no rule speaks.
    std::vector<Rule> rules = {};  // The last one that speaks of peer, name and verb decides.
};

// Below `user/` no rule counts: user/UID and what is below that is for this one user and root, and
// the rest for root alone.
bool is_in_user_namespace(std::string_view name_or_prefix);
std::optional<uid_t>
namespace_owner(const Name& name); // Which one; nothing if it is root's or nobody's.

// Whether a peer learns that the object exists: root, the owner, and users who may wait for it or
// set it. Below user/UID that is this user and root alone.
bool sees(const Policy& policy, const Peer& peer, const Name& name, const Ownership& object);

// Who says no: the policy, the object's rights; or nobody can own what a user makes who is not
// mapped.
enum class DeniedBy { policy, permissions, unmapped };
// Nothing if nobody does. No policy: it is not asked; no object: the name is not there yet.
std::optional<DeniedBy> check_access(const Policy* policy, const Peer& peer, const Name& name,
                                     const Ownership* object, Permission right);

} // namespace evfd::daemon
