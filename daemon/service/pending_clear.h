// A Clear of many tokens, in slices: the connections of others have their turns meanwhile.
#pragma once

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

    Progress advance(OutputQueue& outbox) override;
    // Nearly all are over by then; one that takes longer is over with its client.
    bool must_finish() const override { return slices_ < max_slices_after_disconnect; }

private:
    static constexpr int max_slices_after_disconnect = 4'000; // A second of our time.

    Service& service_;
    Session& session_;
    bool is_sequenced_; // By the session.
    Registry::ClearProgress progress_;
    int slices_ = 0; // That it took.
};

} // namespace evfd::daemon
