// Charges: charges a caller for the objects and descriptors that the caller gets, or returns the
// refusal.
#pragma once

#include "common/socket.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/access/shared_pool.h"
#include "daemon/objects/pulse.h"

namespace evfd::daemon {

class Charges {
public:
    // The charges for a descriptor: a unit of a quota, and a unit of the pool of descriptors.
    struct Descriptor {
        Quota::Charge quota;
        SharedPool::Charge descriptor;
    };

    Charges(Quota& quota, SharedPool& descriptors) : quota_{quota}, descriptors_{descriptors} {}

    // Charges an object. All users together have at most max_objects objects, and the last of them
    // are reserved for users who have few, as in a SharedPool.
    Outcome<Quota::Charge> charge_object(const Peer& peer);
    // Charges the descriptor of a subscription or of a wait-only handle.
    Outcome<Descriptor> charge_private_descriptor(const Peer& peer)
    {
        return charge_with_descriptor(peer, Resource::subscriptions);
    }
    // Charges the eventfd of an event, or its mirror.
    Outcome<Descriptor> charge_opened_event(const Peer& peer)
    {
        return charge_with_descriptor(peer, Resource::opened_events);
    }
    // Charges the caller for one more subscriber of the event `pulse`. See Pulse::take_place().
    Outcome<SharedPool::Charge> charge_place(const Peer& peer, Pulse& pulse);

private:
    Outcome<Descriptor> charge_with_descriptor(const Peer& peer, Resource resource);

    Quota& quota_;
    SharedPool& descriptors_;
};

} // namespace evfd::daemon
