// One client: bytes in, calls to the service, replies out. It knows no event.
#pragma once

#include "common/frame.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/ipc/fair_scheduler.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace evfd::daemon {

// What the owner does with the connection after a call into it.
enum class Next { keep, close };

// That come from a client.
enum class IncomingFds { none, possible };

class Connection {
public:
    // `socket` is connected; `scratch` is for one call at a time and may be shared. Turns know it
    // by the id that its session has now, and are to have turn() called. `descriptors`: whether the
    // client may have sent any; a connection with some is let go, and they stay in the socket.
    Connection(EventLoop& loop, FairScheduler& scheduler, Service& service, json::Document& scratch,
               UniqueFd socket, IncomingFds descriptors, Session session,
               ConnectionCharges charges);
    ~Connection();
    Connection(const Connection&) = delete; // Pinned: what is pending wakes it by its address.
    Connection& operator=(const Connection&) = delete;

    // Watches the socket from now on; `callback` is for on_events().
    Result<void> attach(EventLoop::Callback callback);
    [[nodiscard]] Next on_events(std::uint32_t events);
    [[nodiscard]] Next serve();

    // Its socket, which it does not watch any more: to be closed by the caller.
    UniqueFd release_socket();

    uid_t uid() const { return session_.peer.uid; }
    // Looks whether descriptors that its client was sent were read by now.
    void refresh_unread_fds();

private:
    void enqueue();
    void update_charges();
    void wake();
    Result<std::optional<Received>> receive_bytes(std::span<char> into) const;
    Next read();
    Next answer_calls(Budget& budget, MonotonicTime begin);
    Next answer(std::string_view frame);
    void advance_pending(MonotonicTime end);
    void drop_unsent_replies();
    Next flush();
    bool may_send();
    Next update_epoll_events();
    std::uint32_t wanted_events() const;
    // Without room, one answer at a time: that there is none.
    bool accepts_calls() const
    {
        return !pending_ && !output_.above_high_water() && (may_reply_ || output_.is_empty());
    }
    bool accepts_input() const { return accepts_calls() && !has_calls_; }
    // That has begun to come, beyond what anybody may have of one.
    bool is_long_call() const { return incoming_.unread_bytes() > max_uncounted_call_bytes; }
    bool must_finish() const { return pending_ && pending_->must_finish(); }
    bool is_blocked() const { return flushed_ != OutputQueue::Flushed::all; }
    Next disconnect(std::string_view why) const;

    const std::uint64_t id_; // Its session may become an earlier one.
    EventLoop& loop_;
    FairScheduler& scheduler_;
    Service& service_;
    json::Document& scratch_;
    bool is_queued_ = false; // For a turn that has not come yet.

    FrameReader incoming_;
    bool peer_hung_up_ = false; // The peer.
    bool input_open_ = true;    // The peer has not said that it sends no more.
    bool has_unread_ = false;   // There is input that we leave unread for now.
    bool has_calls_ = false;    // There may be whole calls in incoming_.

    Session session_;
    ConnectionCharges charges_;
    bool may_reply_ = true; // For answers: its user's clients have read enough of theirs.
    OutputQueue output_;
    OutputQueue::Flushed flushed_ = OutputQueue::Flushed::all;
    std::unique_ptr<PendingReply> pending_;
    bool reports_changes_ = false; // The outbox may, or pending_.
    struct UnsentReply {
        std::uint64_t end; // Of its last reply, in all that is written to the outbox.
        std::unique_ptr<PendingReply> pending;
    };
    std::vector<UnsentReply> unsent_; // Until the kernel has their last reply.
    bool pending_is_ready_ = false;   // Of pending_, that were not asked for yet.
    std::optional<EventLoop::Timeout> retry_;

    const nanoseconds accepted_ = now_on(Clock::boottime);
    UniqueFd socket_;
    const IncomingFds descriptors_;
    std::uint32_t watched_events_ = 0;
    std::optional<EventLoop::Watch> watch_; // After socket_: it must go first.
};

} // namespace evfd::daemon
