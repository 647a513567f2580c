// A Wait call that is under way on a line of its own. It can be called off: then nothing is taken
// for it, or what was taken is told.
#pragma once

#include "client/core/connection_pool.h"
#include "client/core/session.h"
#include "evfd/error.h"

#include <optional>
#include <vector>

namespace evfd {

class WaitRequest {
public:
    using Fired = std::vector<protocol::Fired>;
    // When begin() returns: with the call on its way, or with the daemon's word that it waits.
    enum class ReturnWhen { submitted, acknowledged };

    // The daemon answers at the deadline, if not before.
    static Expected<WaitRequest> begin(ConnectionPool& pool, protocol::Wait request,
                                       Deadline deadline,
                                       ReturnWhen return_when = ReturnWhen::submitted);

    int fd() const { return session_.connection().fd(); } // Readable when there is an answer.
    // Whether it is here already: then nothing more becomes readable.
    bool has_reply() const { return early_reply_ || session_.connection().has_buffered_input(); }
    // The answer; timed_out if the time was over. interrupted: the daemon went away, resubmit().
    Expected<Fired> finish();
    // Once the daemon is there again: for the same answer, if it had one.
    Expected<void> resubmit();
    // The answer, if there was one already.
    std::optional<Fired> cancel();

private:
    WaitRequest(ConnectionPool& pool, Session session, protocol::Wait request, Deadline deadline,
                ReturnWhen return_when)
        : pool_{&pool}, session_{std::move(session)}, request_{std::move(request)},
          deadline_{deadline}, return_when_{return_when}
    {
    }

    Expected<void> submit();

    ConnectionPool* pool_;
    Session session_;
    protocol::Wait request_;
    Deadline deadline_;
    ReturnWhen return_when_;
    std::optional<Fired> early_reply_; // Came in the place of the word that it waits.
};

} // namespace evfd
