// The rest of an answer: one that is not there yet, or that is many replies. Its connection asks
// for it whenever there is room, and takes no other call until it is over.
#pragma once

#include "daemon/service/output_queue.h"

namespace evfd::daemon {

class PendingReply {
public:
    enum class Progress { again, blocked, done };

    virtual ~PendingReply() = default;
    // Writes at most one reply. `later`: nothing to say now; it wakes the connection when there is.
    virtual Progress advance(OutputQueue& output) = 0;
    // Its connection sees to it that it comes to its end, though its client may be gone: what it does
    // matters to others.
    virtual bool must_finish() const { return false; }
    // Its last reply did not reach the client, or it was not asked for that.
    virtual void on_dropped() {}
    virtual void on_sent() {} // Or the kernel has it.
};

} // namespace evfd::daemon
