// From a schedule as one asks for it to the call that arms the timer.
#pragma once

#include "evfd/error.h"
#include "evfd/schedule.h"
#include "common/protocol/protocol.h"

namespace evfd {

// Or what is wrong with it, in a sentence.
Try<protocol::Arm> to_request(const Name& name, const Schedule& schedule);

} // namespace evfd
