// A Clear of many tokens, in slices: the connections of others have their turns meanwhile.
#pragma once

#include "daemon/pending.h"
#include "daemon/service.h"

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
    bool is_promised() const override { return true; }

private:
    Service& service_;
    Session& session_;
    bool is_counted_; // By the session.
    Registry::Clearance clearance_;
};

} // namespace evfd::daemon
