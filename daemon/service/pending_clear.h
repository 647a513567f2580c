// A Clear of many tokens, done in slices so that other connections are served in between.
#pragma once

#include "daemon/objects/registry.h"
#include "daemon/service/caller.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/reply_cache.h"

#include <utility>

namespace evfd::daemon {

class PendingClear : public PendingReply {
public:
    PendingClear(Registry& registry, Counters& counters, const Caller& caller,
                 Registry::ClearProgress progress)
        : registry_{registry}, counters_{counters}, reply_cache_{registry, caller.session},
          progress_{std::move(progress)}
    {
    }

    Progress advance(OutputQueue& output) override;
    // A Clear that has taken so many slices ends with its connection. Nearly every Clear takes
    // fewer.
    bool must_finish() const override { return slices_ < max_guaranteed_slices; }

private:
    static constexpr int max_guaranteed_slices = 4'000; // About one second of the daemon's time.

    Registry& registry_;
    Counters& counters_;
    ReplyCache reply_cache_;
    Registry::ClearProgress progress_;
    int slices_ = 0; // The number of slices so far.
};

} // namespace evfd::daemon
