// Converts a Schedule to the Arm request of the protocol.
#pragma once

#include "common/protocol/protocol.h"
#include "evfd/error.h"
#include "evfd/schedule.h"

namespace evfd {

// Makes the request to arm the timer `name`. Fails with `invalid` if the schedule contradicts
// itself, or if its time has another meaning in the daemon's time namespace.
Expected<protocol::Arm> to_arm_request(const Name& name, const Schedule& schedule);

} // namespace evfd
