// The unfinished replies of one connection. There are two kinds: the pending reply of the call that
// is being done, and written replies whose last byte the kernel has not accepted yet.
//
// When the kernel has accepted the last byte of a reply, on_sent() confirms the reply. The effect
// of the call is then final; for example, the tokens that a wait consumed are not returned any
// more. If the connection ends before that moment, on_dropped() undoes the effect.
#pragma once

#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace evfd::daemon {

class UnfinishedReplies {
public:
    // Takes over the pending reply of a call. `pending` is null if the call is answered already.
    void start(std::unique_ptr<PendingReply> pending);
    bool is_pending() const { return pending_ != nullptr; }
    // Returns whether the pending reply must be brought to its end even if the peer has hung up.
    bool must_finish() const { return pending_ && pending_->must_finish(); }
    // Marks the pending reply as ready, which means that advance() must be called for it.
    void wake() { is_ready_ = true; }
    bool is_ready() const { return pending_ && is_ready_; }
    // Writes at most one reply to `output`.
    void advance(OutputQueue& output);

    // Confirms the replies whose last byte is sent. `bytes_sent` is the value of
    // OutputQueue::bytes_sent().
    void confirm(std::uint64_t bytes_sent);
    // Drops all replies, because the client cannot receive any of them. The pending reply is not
    // destroyed, because it can have work that must be finished.
    void drop();

private:
    struct Unsent {
        std::uint64_t end; // The value of OutputQueue::bytes_queued() after the reply was written.
        std::unique_ptr<PendingReply> reply;
    };

    std::unique_ptr<PendingReply> pending_;
    bool is_ready_ = false;
    std::vector<Unsent> unsent_;
};

} // namespace evfd::daemon
