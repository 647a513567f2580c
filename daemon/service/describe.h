// describe(): the description of an object in the replies of Show, List and Monitor.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/objects/registry.h"
#include "daemon/waiting/waits.h"

namespace evfd::daemon {

// Returns the description of the object for this peer. If the peer is not allowed to wait for the
// object, the description leaves out the object's state.
protocol::Object describe(Registry& registry, const Waits& waits, const Peer& peer,
                          const Name& name, Object& object);

} // namespace evfd::daemon
