// From a schedule as one asks for it to the call that arms the timer.
#pragma once

#include "common/protocol/protocol.h"
#include "evfd/error.h"
#include "evfd/schedule.h"

namespace evfd {

// Or what is wrong with it, in a sentence.
Expected<protocol::Arm> to_arm_request(const Name& name, const Schedule& schedule);

} // namespace evfd
