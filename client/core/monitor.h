// What a monitor tells, for a loop of one's own: a descriptor, and one reply after the other.
#pragma once

#include "client/core/connection_pool.h"
#include "evfd/error.h"
#include "client/core/session.h"
#include "common/pattern.h"
#include "common/protocol/protocol.h"

#include <memory>
#include <optional>

namespace evfd {

class News {
public:
    // Of all objects, if there is no pattern; with `attendance` of who begins to wait for them or
    // to follow them, and ceases to, too. Connects, which may take a while.
    static Try<News> begin(std::shared_ptr<Daemon> daemon, std::optional<Pattern> pattern,
                           bool attendance);

    int fd() const { return line_.channel().fd(); } // Readable when something came.
    // Nothing, if there is none yet: to be asked for until then. interrupted: the daemon is gone.
    Try<std::optional<protocol::Monitor::Reply>> next();

private:
    News(std::shared_ptr<Daemon> daemon, Line line)
        : daemon_{std::move(daemon)}, line_{std::move(line)}
    {
    }

    std::shared_ptr<Daemon> daemon_; // Whose address the line has.
    Line line_;
};

} // namespace evfd
