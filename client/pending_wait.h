// A Wait call that is under way on a line of its own. It can be called off: then nothing is taken
// for it, or what was taken is told.
#pragma once

#include "client/daemon.h"
#include "client/evfd/error.h"
#include "client/line.h"

#include <optional>
#include <vector>

namespace evfd {

class PendingWait {
public:
    using Fired = std::vector<protocol::Fired>;

    // The daemon answers at the deadline, if not before.
    static Try<PendingWait> begin(Daemon& daemon, protocol::Wait request, Deadline deadline);

    int fd() const { return line_.channel().fd(); } // Readable when there is an answer.
    // The answer; timed_out if the time was over. interrupted: the daemon went away, ask_again().
    Try<Fired> finish();
    // Once the daemon is there again: for the same answer, if it had one.
    Try<void> ask_again();
    // The answer, if there was one already.
    std::optional<Fired> call_off();

private:
    PendingWait(Daemon& daemon, Line line, protocol::Wait request, Deadline deadline)
        : daemon_{&daemon}, line_{std::move(line)}, request_{std::move(request)},
          deadline_{deadline}
    {
    }

    Daemon* daemon_;
    Line line_;
    protocol::Wait request_;
    Deadline deadline_;
};

} // namespace evfd
