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
    // Starts to monitor the objects that match `pattern`, or all objects if there is no pattern. If
    // `include_waiters` is true, also reports changes of the waiters and the subscribers. This
    // function connects to the daemon first, which can take a while.
    static Expected<Monitor> begin(std::shared_ptr<ConnectionPool> pool,
                                   std::optional<Pattern> pattern, bool include_waiters);

    // Returns a descriptor that polls readable when a change has arrived.
    int fd() const { return session_.connection().fd(); }
    // Returns the next change, or nothing if no change has arrived. Call this function again until
    // it returns nothing, because fd() does not report changes that were already read from the
    // socket. Fails with `interrupted` if the connection to the daemon was lost.
    Expected<std::optional<protocol::Monitor::Reply>> next();

private:
    Monitor(std::shared_ptr<ConnectionPool> pool, Session session)
        : pool_{std::move(pool)}, session_{std::move(session)}
    {
    }

    // The pool owns the address to which session_ points.
    std::shared_ptr<ConnectionPool> pool_;
    Session session_;
};

} // namespace evfd
