// The client that makes a call, and how it makes the call.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "daemon/objects/session.h"

#include <functional>

namespace evfd::daemon {

// The client of one call. `wake` makes the connection call PendingReply::advance() again, and can
// be called at any time.
struct Caller {
    Session& session;
    std::function<void()> wake;
    const UniqueFd& socket; // The socket of the client's connection.
    nanoseconds accepted;   // The time when the connection was accepted, on the boottime clock.
    // True if the user's quota has room for a reply. Without room, the only reply is an error that
    // says so.
    bool may_reply = true;
    bool modifies_state = false; // The call has changed recorded state, or can have changed it.
    bool is_streaming = false;   // The call has the `more` flag.
};

} // namespace evfd::daemon
