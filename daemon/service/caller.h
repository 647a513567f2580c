// Caller: the client that makes a call, and the properties of the call.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "daemon/objects/session.h"

#include <functional>

namespace evfd::daemon {

// The client that makes one call, and the properties of that call. `wake` makes the connection call
// PendingReply::advance() again, and can be called at any time.
struct Caller {
    Session& session;
    std::function<void()> wake;
    const UniqueFd& socket; // The socket of the client's connection.
    nanoseconds accepted;   // The time when the connection was accepted, on the boottime clock.
    // True if the user's quota of unread reply bytes has room for a reply. If there is no room, the
    // only reply is an error that says that the quota is used up.
    bool may_reply = true;
    // True if the call has changed, or can have changed, state that the daemon records.
    bool modifies_state = false;
    bool is_streaming = false; // True if the call has Varlink's `more` flag.
};

} // namespace evfd::daemon
