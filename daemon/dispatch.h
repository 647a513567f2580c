// From a call's envelope to the answer in the outbox.
#pragma once

#include "common/envelope.h"
#include "daemon/outbox.h"
#include "daemon/pending.h"
#include "daemon/service.h"

#include <memory>

namespace evfd::daemon {

// Whatever there is to answer is in the outbox then; what is still owed is returned.
std::unique_ptr<Pending> dispatch(Service& service, Caller& caller, const Call& call,
                                  Outbox& outbox);

} // namespace evfd::daemon
