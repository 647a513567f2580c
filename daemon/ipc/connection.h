// One client: bytes in, calls to the service, replies out. It knows no event.
#pragma once

#include "common/frame.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/socket.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/service/output_queue.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/service.h"
#include "daemon/ipc/fair_scheduler.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace evfd::daemon {

// What the owner does with the connection after a call into it.
enum class Next { keep, close };

// That come from a client.
enum class Descriptors { none, perhaps };

class Connection {
public:
    // `socket` is connected; `scratch` is for one call at a time and may be shared. Turns know it
    // by the id that its session has now, and are to have turn() called. `descriptors`: whether the
    // client may have sent any; a connection with some is let go, and they stay in the socket.
    Connection(EventLoop& loop, Turns& turns, Service& service, json::Document& scratch,
               UniqueFd socket, Descriptors descriptors, Session session, Dues dues);
    ~Connection();
    Connection(const Connection&) = delete; // Pinned: what is pending wakes it by its address.
    Connection& operator=(const Connection&) = delete;

    // Watches the socket from now on; `callback` is for on_events().
    Result<void> attach(EventLoop::Callback callback);
    [[nodiscard]] Next on_events(std::uint32_t events);
    [[nodiscard]] Next turn();

    // Its socket, which it does not watch any more: to be closed by the caller.
    UniqueFd give_up();

    uid_t uid() const { return session_.peer.uid; }
    // Looks whether descriptors that its client was sent were read by now.
    void notice_reading();

private:
    void ask_for_turn();
    void settle_dues();
    void wake();
    Result<std::optional<Received>> receive_bytes(std::span<char> into) const;
    Next read();
    Next answer_calls(Share& share, MonotonicTime begin);
    Next answer(std::string_view frame);
    void advance_pending(MonotonicTime end_of_turn);
    void lose_answers();
    Next flush();
    bool may_tell();
    Next rest();
    std::uint32_t wanted_events() const;
    // Without room, one answer at a time: that there is none.
    bool takes_calls() const
    {
        return !pending_ && !outbox_.is_high() && (has_room_ || outbox_.is_empty());
    }
    bool takes_input() const { return takes_calls() && !has_calls_; }
    // That has begun to come, beyond what anybody may have of one.
    bool is_long_call() const { return incoming_.unread_bytes() > max_uncounted_call_bytes; }
    bool is_promised() const { return pending_ && pending_->is_promised(); }
    bool is_blocked() const { return flushed_ != Outbox::Flushed::all; }
    Next hang_up(std::string_view why) const;

    const std::uint64_t id_; // Its session may become an earlier one.
    EventLoop& loop_;
    Turns& turns_;
    Service& service_;
    json::Document& scratch_;
    bool has_asked_ = false; // For a turn that has not come yet.

    FrameReader incoming_;
    bool is_gone_ = false;    // The peer.
    bool has_more_ = true;    // The peer has not said that it sends no more.
    bool has_unread_ = false; // There is input that we leave unread for now.
    bool has_calls_ = false;  // There may be whole calls in incoming_.

    Session session_;
    Dues dues_;
    bool has_room_ = true; // For answers: its user's clients have read enough of theirs.
    Outbox outbox_;
    Outbox::Flushed flushed_ = Outbox::Flushed::all;
    std::unique_ptr<Pending> pending_;
    bool tells_of_changes_ = false; // The outbox may, or pending_.
    struct Answered {
        std::uint64_t end; // Of its last reply, in all that is written to the outbox.
        std::unique_ptr<Pending> pending;
    };
    std::vector<Answered> answered_; // Until the kernel has their last reply.
    bool has_news_ = false;          // Of pending_, that were not asked for yet.
    std::optional<EventLoop::Alarm> retry_;

    const nanoseconds accepted_ = now_on(Clock::boottime);
    UniqueFd socket_;
    const Descriptors descriptors_;
    std::uint32_t watched_events_ = 0;
    std::optional<EventLoop::Watch> watch_; // After socket_: it must go first.
};

} // namespace evfd::daemon
