// WaitRequest: one Wait call in progress, on a session of its own. A caller can watch its
// descriptor, and can cancel it: it then consumes nothing, or returns what it has consumed.
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
    // Condition for begin() to return: the call was sent, or the daemon has confirmed that it is
    // registered.
    enum class ReturnWhen { submitted, acknowledged };

    // Begins a wait that the daemon ends at `deadline` at the latest.
    static Expected<WaitRequest> begin(ConnectionPool& pool, protocol::Wait request,
                                       Deadline deadline,
                                       ReturnWhen return_when = ReturnWhen::submitted);

    // Polls readable when the reply has arrived.
    int fd() const { return session_.connection().fd(); }
    // Returns whether the reply has been read from the socket already. fd() does not become
    // readable then.
    bool has_reply() const { return early_reply_ || session_.connection().has_buffered_input(); }
    // Returns the reply. timed_out: the deadline passed first. interrupted: the connection was
    // lost; the caller calls resubmit().
    Expected<Fired> finish();
    // Connects again and sends the call again. The daemon repeats its reply if it had sent one.
    Expected<void> resubmit();
    // Ends the wait. Returns the reply if the wait was already complete.
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
    std::optional<Fired> early_reply_; // A reply that came in place of the confirmation.
};

} // namespace evfd
