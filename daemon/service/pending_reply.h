// PendingReply: an answer that is not ready yet, or that consists of many replies. The connection
// calls advance() whenever its output queue has room, and accepts no other call until the answer is
// finished.
#pragma once

#include "daemon/service/output_queue.h"

namespace evfd::daemon {

class PendingReply {
public:
    enum class Progress { again, blocked, done };

    virtual ~PendingReply() = default;
    // Writes at most one reply.
    // `again`: advance() can be called again at once.
    // `blocked`: there is nothing to write at present. The pending reply wakes the connection
    // later.
    // `done`: the answer is finished.
    virtual Progress advance(OutputQueue& output) = 0;
    // Returns whether the connection must finish this pending reply even if its client has
    // disconnected, because other clients depend on the effect of the call.
    virtual bool must_finish() const { return false; }
    // Called when the last reply did not reach the client, or was never written.
    virtual void on_dropped() {}
    virtual void on_sent() {} // Called when the kernel has accepted the last reply.
};

} // namespace evfd::daemon
