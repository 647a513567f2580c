// dispatch(): decodes a call, passes it to the service, and writes the reply to the output queue.
#pragma once

#include "common/envelope.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <memory>

namespace evfd::daemon {

// Executes the call. Appends the replies that are ready now to the queue `output`. Returns the
// object that will write the remaining replies, or null if no reply remains.
std::unique_ptr<PendingReply> dispatch(Service& service, Caller& caller, const Call& call,
                                       OutputQueue& output);

} // namespace evfd::daemon
