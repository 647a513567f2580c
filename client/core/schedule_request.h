// Conversion of a Schedule to the Arm request of the protocol.
#pragma once

#include "common/protocol/protocol.h"
#include "evfd/error.h"
#include "evfd/schedule.h"

namespace evfd {

// invalid: the schedule contradicts itself, or its time cannot be given to the daemon.
Expected<protocol::Arm> to_arm_request(const Name& name, const Schedule& schedule);

} // namespace evfd
