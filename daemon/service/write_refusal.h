// write_refusal(): answers a call with a refusal.
#pragma once

#include "daemon/access/refusal.h"
#include "daemon/service/counters.h"
#include "daemon/service/output_queue.h"

#include <utility>
#include <variant>

namespace evfd::daemon {

// Writes the refusal as the reply to a call, and counts the refusal in `counters`.
inline void write_refusal(Refusal refusal, Counters& counters, OutputQueue& output)
{
    counters.count(refusal);
    std::visit([&](auto& reason) { output.error(std::move(reason)); }, refusal.reason());
}

} // namespace evfd::daemon
