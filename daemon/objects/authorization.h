// Authorization: whether a caller may use an object, and the refusal if it may not.
//
// A decision consults the administrator's policy and the object's permissions: see
// daemon/access/policy.h, which decides. The find functions are the usual way from the name in a
// call to an object.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/policy.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/object_table.h"

#include <cstdint>
#include <utility>

namespace evfd::daemon {

using protocol::Item;

// `skip` is for objects that the configuration declares: the policy does not apply to them.
enum class PolicyCheck : std::uint8_t { enforce, skip };

class Authorization {
public:
    explicit Authorization(ObjectTable& objects) : objects_{objects} {}
    Authorization(const Authorization&) = delete;
    Authorization& operator=(const Authorization&) = delete;

    // The administrator's policy, which is checked in addition to the objects' permissions.
    const Policy& policy() const { return policy_; }
    // Returns the policy before.
    Policy set_policy(Policy policy) { return std::exchange(policy_, std::move(policy)); }

    // Returns whether the peer has the permission, by the policy and by the object.
    bool is_allowed(const Peer& peer, const Name& name, const Object& object,
                    Permission permission) const;
    // Returns whether the peer may know that the object exists.
    bool sees(const Peer& peer, const Name& name, const Object& object) const;
    // Returns the refusal if the peer lacks the permission. A null object means one that does not
    // exist yet.
    Outcome<void> check(const Peer& peer, const Name& name, const Object* object,
                        Permission permission,
                        PolicyCheck policy_check = PolicyCheck::enforce) const;
    // The same for a caller that consumes tokens of an auto event or a semaphore and has the
    // permission to wait: it needs the permission to set as well.
    Outcome<void> check_consuming(const Peer& peer, const Name& name, const Object* object) const;

    // Return the object. They refuse a name that does not exist, a missing permission, and an
    // object that has another id than the item.
    Outcome<Object*> find(const Peer& peer, const Name& name, Permission permission,
                          PolicyCheck policy_check = PolicyCheck::enforce);
    Outcome<Object*> find(const Peer& peer, const Item& item, Permission permission);
    // The same for an event, or a timer, that the peer may set; they refuse the other kind.
    Outcome<Object*> find_event(const Peer& peer, const Item& item);
    Outcome<Timer*> find_timer(const Peer& peer, const Item& item);

private:
    ObjectTable& objects_;
    Policy policy_;
};

// Refuses an object that has another id than the item.
Outcome<void> check_id(const Item& item, const Object& object);

} // namespace evfd::daemon
