// A Clear of many tokens, done in slices so that other connections are served in between.
#pragma once

#include "daemon/limits.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <vector>

namespace evfd::daemon {

class PendingClear : public PendingReply {
public:
    PendingClear(Service& service, const Caller& caller, Registry::ClearProgress progress)
        : service_{service}, session_{caller.session}, is_sequenced_{caller.is_sequenced},
          progress_{std::move(progress)}
    {
    }

    Progress advance(OutputQueue& output) override;
    // Nearly every Clear takes fewer slices.
    bool must_finish() const override { return slices_ < max_guaranteed_clear_slices; }

private:
    Service& service_;
    Session& session_;
    bool is_sequenced_; // The session counts this call.
    Registry::ClearProgress progress_;
    int slices_ = 0; // The number of slices so far.
};

} // namespace evfd::daemon
