// What a monitor tells, for a loop of one's own: a descriptor, and one reply after the other.
#pragma once

#include "client/core/connection_pool.h"
#include "client/core/session.h"
#include "common/pattern.h"
#include "common/protocol/protocol.h"
#include "evfd/error.h"

#include <memory>
#include <optional>

namespace evfd {

class Monitor {
public:
    // Of all objects, if there is no pattern; with `attendance` of who begins to wait for them or
    // to follow them, and ceases to, too. Connects, which may take a while.
    static Expected<Monitor> begin(std::shared_ptr<ConnectionPool> pool,
                                   std::optional<Pattern> pattern, bool include_waiters);

    int fd() const { return session_.connection().fd(); } // Readable when something came.
    // Nothing, if there is none yet: to be asked for until then. interrupted: the daemon is gone.
    Expected<std::optional<protocol::Monitor::Reply>> next();

private:
    Monitor(std::shared_ptr<ConnectionPool> pool, Session session)
        : pool_{std::move(pool)}, session_{std::move(session)}
    {
    }

    std::shared_ptr<ConnectionPool> pool_; // Whose address the line has.
    Session session_;
};

} // namespace evfd
