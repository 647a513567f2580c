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
    // The charges for one private descriptor: the descriptor of a subscription or of a wait-only
    // handle.
    struct PrivateDescriptor {
        Quota::Charge quota;
        SharedPool::Charge descriptor;
    };

    Charges(Quota& quota, SharedPool& descriptors) : quota_{quota}, descriptors_{descriptors} {}

    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource);
    // Charges a descriptor. `resource` says what the descriptor is for. A refusal names this
    // resource.
    Outcome<SharedPool::Charge> charge_descriptor(const Peer& peer, Resource resource);
    Outcome<PrivateDescriptor> charge_private_descriptor(const Peer& peer);
    // Charges the caller for one more subscriber of the event `pulse`. See Pulse::take_place().
    Outcome<SharedPool::Charge> charge_place(const Peer& peer, Pulse& pulse);

private:
    Quota& quota_;
    SharedPool& descriptors_;
};

} // namespace evfd::daemon
