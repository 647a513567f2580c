// Decodes a call, has the service handle it, and writes the reply to the output queue.
#pragma once

#include "common/envelope.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <memory>

namespace evfd::daemon {

// Writes the replies that are ready to `output`. Returns the rest of the answer, or null if there
// is none.
std::unique_ptr<PendingReply> dispatch(Service& service, Caller& caller, const Call& call,
                                       OutputQueue& output);

} // namespace evfd::daemon
