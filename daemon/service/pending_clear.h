// PendingClear: a Clear call in progress. It takes the tokens in time slices, so that other
// connections are served between two slices.
#pragma once

#include "daemon/limits.h"
#include "daemon/objects/registry.h"
#include "daemon/service/caller.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/reply_cache.h"
#include "daemon/waiting/delivery.h"

#include <utility>

namespace evfd::daemon {

class PendingClear : public PendingReply {
public:
    PendingClear(Registry& registry, Delivery& delivery, Counters& counters, const Caller& caller,
                 ClearProgress progress)
        : registry_{registry}, delivery_{delivery}, counters_{counters},
          reply_cache_{registry, caller.session}, progress_{std::move(progress)}
    {
    }

    Progress advance(OutputQueue& output) override;
    // A Clear with fewer slices than this limit is finished even if its client disconnects. Nearly
    // every Clear stays below the limit.
    bool must_finish() const override { return slices_ < max_guaranteed_clear_slices; }

private:
    Registry& registry_;
    Delivery& delivery_;
    Counters& counters_;
    ReplyCache reply_cache_;
    ClearProgress progress_;
    int slices_ = 0; // The number of time slices that this Clear has used.
};

} // namespace evfd::daemon
