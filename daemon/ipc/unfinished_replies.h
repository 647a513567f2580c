// The replies of one connection that are not finished: the pending one, of the call that is being
// done, and those that are written and whose last byte the kernel has not accepted yet.
//
// A reply is confirmed by on_sent() when the kernel has accepted its last byte: then its effect is
// final, for example the tokens that a wait consumed. If the connection ends before that,
// on_dropped() undoes the effect.
#pragma once

#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace evfd::daemon {

class UnfinishedReplies {
public:
    // Takes the pending reply of a call. Null: the call is answered.
    void start(std::unique_ptr<PendingReply> pending);
    bool is_pending() const { return pending_ != nullptr; }
    // Returns whether the pending reply must be brought to its end even if the peer has hung up.
    bool must_finish() const { return pending_ && pending_->must_finish(); }
    // The pending reply may have something to write.
    void wake() { is_ready_ = true; }
    bool is_ready() const { return pending_ && is_ready_; }
    // Writes at most one reply.
    void advance(OutputQueue& output);

    // Confirms the replies whose last byte is sent: `bytes_sent` as the output counts them.
    void confirm(std::uint64_t bytes_sent);
    // Drops all replies, because they no longer reach the client. A pending reply stays pending,
    // because it may have to finish.
    void drop();

private:
    struct Unsent {
        std::uint64_t end; // The position of its last byte in the output.
        std::unique_ptr<PendingReply> reply;
    };

    std::unique_ptr<PendingReply> pending_;
    bool is_ready_ = false;
    std::vector<Unsent> unsent_;
};

} // namespace evfd::daemon
