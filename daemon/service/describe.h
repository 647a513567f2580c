// What Show, List and Monitor report of an object.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/objects/registry.h"
#include "daemon/waiting/waits.h"

namespace evfd::daemon {

// Describes the object as this peer may see it: a peer that may not wait does not see its state.
protocol::Object describe(Registry& registry, const Waits& waits, const Peer& peer,
                          const Name& name, Object& object);

} // namespace evfd::daemon
