// From a call's envelope to the answer in the outbox.
#pragma once

#include "common/envelope.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <memory>

namespace evfd::daemon {

// Whatever there is to answer is in the outbox then; what is still owed is returned.
std::unique_ptr<PendingReply> dispatch(Service& service, Caller& caller, const Call& call,
                                       OutputQueue& output);

} // namespace evfd::daemon
