// write_refusal(): answers a call with a refusal.
#pragma once

#include "daemon/access/refusal.h"
#include "daemon/service/counters.h"
#include "daemon/service/output_queue.h"

#include <variant>

namespace evfd::daemon {

// Writes the refusal as the reply to a call, and counts the refusal in `counters`.
inline void write_refusal(const Refusal& refusal, Counters& counters, OutputQueue& output)
{
    counters.count(refusal);
    std::visit([&](const auto& reason) { output.error(reason); }, refusal.reason());
}

} // namespace evfd::daemon
