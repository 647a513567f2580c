// Monitor: a stream of object changes for a caller with an event loop of its own.
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
    // Monitors the objects that match `pattern`, or all without one. With `include_waiters` it also
    // reports waiters and subscribers as they come and go. Connects, which may take a while.
    static Expected<Monitor> begin(std::shared_ptr<ConnectionPool> pool,
                                   std::optional<Pattern> pattern, bool include_waiters);

    // Polls readable when a change has arrived.
    int fd() const { return session_.connection().fd(); }
    // Returns the next change, or nothing if none has arrived. Call it until it returns nothing.
    // interrupted: the connection to the daemon was lost.
    Expected<std::optional<protocol::Monitor::Reply>> next();

private:
    Monitor(std::shared_ptr<ConnectionPool> pool, Session session)
        : pool_{std::move(pool)}, session_{std::move(session)}
    {
    }

    std::shared_ptr<ConnectionPool> pool_; // Keeps the address that the session points to.
    Session session_;
};

} // namespace evfd
