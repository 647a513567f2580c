// A Wait call that is under way on a line of its own. It can be called off: then nothing is taken
// for it, or what was taken is told.
#pragma once

#include "client/core/connection_pool.h"
#include "evfd/error.h"
#include "client/core/session.h"

#include <optional>
#include <vector>

namespace evfd {

class PendingWait {
public:
    using Fired = std::vector<protocol::Fired>;
    // When begin() returns: with the call on its way, or with the daemon's word that it waits.
    enum class Begun { probably, certainly };

    // The daemon answers at the deadline, if not before.
    static Try<PendingWait> begin(Daemon& daemon, protocol::Wait request, Deadline deadline,
                                  Begun begun = Begun::probably);

    int fd() const { return line_.channel().fd(); } // Readable when there is an answer.
    // Whether it is here already: then nothing more becomes readable.
    bool has_answer() const { return early_ || line_.channel().has_unread(); }
    // The answer; timed_out if the time was over. interrupted: the daemon went away, ask_again().
    Try<Fired> finish();
    // Once the daemon is there again: for the same answer, if it had one.
    Try<void> ask_again();
    // The answer, if there was one already.
    std::optional<Fired> call_off();

private:
    PendingWait(Daemon& daemon, Line line, protocol::Wait request, Deadline deadline, Begun begun)
        : daemon_{&daemon}, line_{std::move(line)}, request_{std::move(request)},
          deadline_{deadline}, begun_{begun}
    {
    }

    Try<void> ask();

    Daemon* daemon_;
    Line line_;
    protocol::Wait request_;
    Deadline deadline_;
    Begun begun_;
    std::optional<Fired> early_; // Came in the place of the word that it waits.
};

} // namespace evfd
