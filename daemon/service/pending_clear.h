// A Clear of many tokens, in slices: the connections of others have their turns meanwhile.
#pragma once

#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <vector>

namespace evfd::daemon {

class Clearing : public Pending {
public:
    Clearing(Service& service, const Caller& caller, Registry::Clearance clearance)
        : service_{service}, session_{caller.session}, is_counted_{caller.is_counted},
          clearance_{std::move(clearance)}
    {
    }

    Progress advance(Outbox& outbox) override;
    // Nearly all are over by then; one that takes longer is over with its client.
    bool is_promised() const override { return slices_ < max_promised_slices; }

private:
    static constexpr int max_promised_slices = 4'000; // A second of our time.

    Service& service_;
    Session& session_;
    bool is_counted_; // By the session.
    Registry::Clearance clearance_;
    int slices_ = 0; // That it took.
};

} // namespace evfd::daemon
