// The rest of an answer that is not ready yet or consists of many replies. Its connection asks for
// it whenever there is room, and accepts no other call until it is done.
#pragma once

#include "daemon/service/output_queue.h"

namespace evfd::daemon {

class PendingReply {
public:
    enum class Progress { again, blocked, done };

    virtual ~PendingReply() = default;
    // Writes at most one reply. `blocked`: there is nothing to write now; the pending reply wakes
    // the connection when there is.
    virtual Progress advance(OutputQueue& output) = 0;
    // Returns whether the connection must bring this to its end even if its client has
    // disconnected, because other clients depend on the effect.
    virtual bool must_finish() const { return false; }
    // The last reply did not reach the client, or was never written.
    virtual void on_dropped() {}
    virtual void on_sent() {} // The kernel has accepted the last reply.
};

} // namespace evfd::daemon
