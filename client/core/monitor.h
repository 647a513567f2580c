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
    // Starts to monitor the objects that match `pattern`, or all objects without a pattern. With
    // `include_waiters`, changes of the waiters and subscribers are reported too. Connects first,
    // which can take a while.
    static Expected<Monitor> begin(std::shared_ptr<ConnectionPool> pool,
                                   std::optional<Pattern> pattern, bool include_waiters);

    // Polls readable when a change has arrived.
    int fd() const { return session_.connection().fd(); }
    // Returns the next change, or nothing if none has arrived. Call it until it returns nothing.
    // Fails with `interrupted` if the connection to the daemon was lost.
    Expected<std::optional<protocol::Monitor::Reply>> next();

private:
    Monitor(std::shared_ptr<ConnectionPool> pool, Session session)
        : pool_{std::move(pool)}, session_{std::move(session)}
    {
    }

    std::shared_ptr<ConnectionPool> pool_; // Keeps the address alive that the session points to.
    Session session_;
};

} // namespace evfd
