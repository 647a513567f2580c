// Access control: decides whether a peer may do something to an object.
//
// A decision has two parts. The operation is allowed if each part allows it:
//
// 1. The administrator's Policy, from the configuration: rules by name prefix, for a user, a group
//    or everyone. The last rule that matches peer, name and permission decides.
// 2. The object's own permissions, in the style of a file mode: owner, group, others (access_of()).
//
// No rule applies to the names below `user/`. Only the user UID and root may use user/UID and the
// names below user/UID. Only root may use any other name below `user/`.
//
// The identity of a peer is what the kernel says about the other end of its socket (Peer). Root may
// do everything. The rules do not bind the user that the daemon runs as, who could replace the
// daemon anyway. But object permissions do bind the daemon's user, who also has no access to the
// names of other users below `user/`.
//
// Invariants:
//
// - A uid that stands for unmapped users (user_namespaces(7)) owns nothing. A rule for this uid can
//   deny a permission, but cannot allow one.
// - The caller decides whether the policy is consulted. For objects that the configuration
//   declares, the policy is not consulted.
// - No other code looks at permissions, so all decisions about access can be read and changed here.
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

// The owner, the group and the permissions of an object.
struct Ownership {
    uid_t owner;
    gid_t group;
    Permissions permissions;
};

// Returns the peer's access, as for a file: the owner's bits for the owner, else the group's bits
// for members, else the bits for others. Root has full access. An unmapped user or group is neither
// owner nor member. path_resolution(7)
Access access_of(const Peer& peer, const Ownership& object);
// Returns whether the peer may delete the object and change its permissions.
bool owns(const Peer& peer, const Ownership& object);

// Each overload returns whether the user is root or the user that the daemon runs as.
bool is_daemon_user(uid_t uid);
bool is_daemon_user(const Peer& peer);

// Returns whether the peer may see the resource usage of other users.
bool sees_all_quotas(const Peer& peer);

// Returns whether the peer may use the alarm clocks. Their timers wake the machine from suspend,
// for which the daemon uses its own capability CAP_WAKE_ALARM.
bool may_wake_machine(const Peer& peer);

// The administrator's rules about names. A policy only restricts: where it allows something, the
// object's permissions still decide.
struct Policy {
    class PermissionSet {
    public:
        void add(Permission permission) { bits_.set(static_cast<std::size_t>(permission)); }
        bool has(Permission permission) const
        {
            return bits_[static_cast<std::size_t>(permission)];
        }
        bool empty() const { return bits_.none(); }
        friend bool operator==(const PermissionSet&, const PermissionSet&) = default;

    private:
        std::bitset<enum_names(Permission{}).size()> bits_;
    };

    // A rule about the names that begin with `prefix`. Without a user and a group, the rule applies
    // to everyone.
    struct Rule {
        std::string prefix;
        std::optional<uid_t> user = {};
        std::optional<gid_t> group = {};
        // The permissions that the rule allows. None of them is in `denied`.
        PermissionSet allowed = {};
        PermissionSet denied = {};
        friend bool operator==(const Rule&, const Rule&) = default;
    };

    // Returns whether the policy gives the peer this permission for the name. Permission::own
    // covers deleting an object and changing its permissions. The policy allows root everything. It
    // allows the daemon's user everything, but below user/ only the names of this user.
    bool allows(const Peer& peer, const Name& name, Permission permission) const;
    friend bool operator==(const Policy&, const Policy&) = default;

    bool allows_by_default = true; // The decision if no rule matches.
    std::vector<Rule> rules = {};  // The last rule that matches decides.
};

// Returns whether the name is below `user/`, where no rule applies. Only the user UID and root may
// use user/UID and the names below user/UID. Only root may use any other name below `user/`.
bool is_in_user_namespace(std::string_view name_or_prefix);
// Returns the uid in a name like user/UID or user/UID/x. Returns nothing for any other name.
std::optional<uid_t> namespace_owner(const Name& name);

// Returns whether the peer may know that the object exists. Root, the owner, and every user with
// permission to wait for the object or to set it may know. Below user/UID, only that user and root
// may know.
bool sees(const Policy& policy, const Peer& peer, const Name& name, const Ownership& object);

// The reason why access is denied. `unmapped`: a user that the daemon's user namespace does not map
// cannot own an object, and so cannot create one.
enum class DeniedBy { policy, permissions, unmapped };
// Returns why access is denied; nothing if it is allowed. If `policy` is null, no rules are
// consulted. `object` is null if the object does not exist yet.
std::optional<DeniedBy> check_access(const Policy* policy, const Peer& peer, const Name& name,
                                     const Ownership* object, Permission permission);

} // namespace evfd::daemon
