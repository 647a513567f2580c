// WaitRequest: one Wait call in progress, on a session of its own. The caller can watch the
// descriptor for the reply, and can cancel the wait. If a cancelled wait has consumed tokens, the
// daemon gives the tokens back to their events, unless it has already sent the reply.
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
    // Selects when begin() returns. `submitted`: after the call was sent. `acknowledged`: after the
    // daemon has confirmed that the wait is registered.
    enum class ReturnWhen { submitted, acknowledged };

    // Begins a wait that the daemon ends at `deadline` at the latest.
    static Expected<WaitRequest> begin(ConnectionPool& pool, protocol::Wait request,
                                       Deadline deadline,
                                       ReturnWhen return_when = ReturnWhen::submitted);

    // Returns a descriptor that polls readable when the reply has arrived.
    int fd() const { return session_.connection().fd(); }
    // Returns whether the reply has already been read from the socket. In that case the descriptor
    // of fd() does not become readable.
    bool has_reply() const { return early_reply_ || session_.connection().has_buffered_input(); }
    // Returns the reply. Fails with `timed_out` if the deadline passed first, and with
    // `interrupted` if the connection was lost. After `interrupted`, the caller has to call
    // resubmit().
    Expected<Fired> finish();
    // Connects again and sends the call again. If the daemon had already sent the reply, it sends
    // the reply again.
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
    // The reply, if the daemon sent it instead of the confirmation.
    std::optional<Fired> early_reply_;
};

} // namespace evfd
