// Authorization: decides whether a caller may use an object. If the caller may not, Authorization
// returns the refusal.
//
// A decision depends on the administrator's policy and on the object's permissions: see
// daemon/access/policy.h. The find functions look up the object that a call names, and check the
// caller's access to that object.
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

// Says whether the administrator's policy is enforced. `skip`: the configuration declares the
// object, so the policy does not apply to the object.
enum class PolicyCheck : std::uint8_t { enforce, skip };

class Authorization {
public:
    explicit Authorization(ObjectTable& objects) : objects_{objects} {}
    Authorization(const Authorization&) = delete;

    // Returns the administrator's policy, which is checked in addition to the objects' permissions.
    const Policy& policy() const { return policy_; }
    // Replaces the policy and returns the previous policy.
    Policy set_policy(Policy policy) { return std::exchange(policy_, std::move(policy)); }

    // Returns whether the policy and the object both grant the permission to the peer.
    bool is_allowed(const Peer& peer, const Name& name, const Object& object,
                    Permission permission) const;
    // Returns whether the peer may know that the object exists.
    bool sees(const Peer& peer, const Name& name, const Object& object) const;
    // Returns the refusal if the peer lacks the permission. `object` is null if the object does not
    // exist yet.
    Outcome<void> check(const Peer& peer, const Name& name, const Object* object,
                        Permission permission,
                        PolicyCheck policy_check = PolicyCheck::enforce) const;
    // A peer that consumes tokens of an auto event or a semaphore needs the permission to set as
    // well as the permission to wait. Returns the refusal if the peer lacks the permission to set.
    // The caller has checked the permission to wait.
    Outcome<void> check_consuming(const Peer& peer, const Name& name, const Object* object) const;

    // Returns the object of this name. Refuses a name that does not exist, and a peer that lacks
    // the permission.
    Outcome<Object*> find(const Peer& peer, const Name& name, Permission permission,
                          PolicyCheck policy_check = PolicyCheck::enforce);
    // Returns the object that the item names. Refuses a name that does not exist, a peer that lacks
    // the permission, and an object whose id differs from the id in the item.
    Outcome<Object*> find(const Peer& peer, const Item& item, Permission permission);
    // Returns the event that the item names. Refuses a timer, and a peer without the permission to
    // set the event.
    Outcome<Object*> find_event(const Peer& peer, const Item& item);
    // Returns the timer that the item names. Refuses an event, and a peer without the permission to
    // set the timer.
    Outcome<Timer*> find_timer(const Peer& peer, const Item& item);

private:
    ObjectTable& objects_;
    Policy policy_;
};

// Returns a refusal if the item has an id that differs from the object's id.
Outcome<void> check_id(const Item& item, const Object& object);

} // namespace evfd::daemon
