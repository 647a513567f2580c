// The client that makes a call, and how it makes the call.
#pragma once

#include "common/clock.h"
#include "common/unique_fd.h"
#include "daemon/objects/session.h"

#include <functional>

namespace evfd::daemon {

// `wake` makes the connection ask a PendingReply again; it may be called at any time.
struct Caller {
    Session& session;
    std::function<void()> wake;
    const UniqueFd& socket; // The socket of its connection.
    nanoseconds accepted;   // When the connection was accepted, on the boottime clock.
    // There is room for a reply; otherwise the only reply is that there is none.
    bool may_reply = true;
    bool modifies_state = false; // This call changes recorded state, or may.
    bool is_streaming = false;   // The call has the `more` flag.
};

} // namespace evfd::daemon
