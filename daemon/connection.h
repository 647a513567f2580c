// One client: bytes in, calls to the service, replies out. It knows no event.
#pragma once

#include "common/frame.h"
#include "common/json.h"
#include "common/unique_fd.h"
#include "daemon/event_loop.h"
#include "daemon/outbox.h"
#include "daemon/pending.h"
#include "daemon/service.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

// After as many calls in one turn of the loop, or so long with fewer, it is the others' turn.
inline constexpr int max_calls_per_turn = 64;
inline constexpr std::chrono::milliseconds max_turn{1};

// What the owner does with the connection after a call into it.
enum class Next { keep, close };

class Connection {
public:
    using AskForTurn = std::function<void()>; // The owner is to call turn() soon.

    // `socket` is connected; `scratch` is for one call at a time and may be shared.
    Connection(EventLoop& loop, Service& service, json::Document& scratch, UniqueFd socket,
               Session session, Quota::Charge charge, AskForTurn ask_for_turn);
    ~Connection();
    Connection(const Connection&) = delete; // Pinned: what is pending wakes it by its address.
    Connection& operator=(const Connection&) = delete;

    // Watches the socket from now on; `callback` is for on_events().
    Result<void> attach(EventLoop::Callback callback);
    [[nodiscard]] Next on_events(std::uint32_t events);
    [[nodiscard]] Next turn();

private:
    void wake();
    Next read();
    Next answer_calls();
    Next answer(std::string_view frame);
    void advance_pending();
    void lose_answers();
    Next flush();
    Next rest();
    std::uint32_t wanted_events() const;
    bool takes_calls() const { return !pending_ && !outbox_.is_high(); }
    bool takes_input() const { return takes_calls() && !has_calls_; }
    bool is_blocked() const { return flushed_ != Outbox::Flushed::all; }
    Next hang_up(std::string_view why) const;

    EventLoop& loop_;
    Service& service_;
    json::Document& scratch_;
    AskForTurn ask_for_turn_;
    bool has_asked_ = false; // For a turn that has not come yet.

    FrameReader incoming_;
    bool has_more_ = true;    // The peer has not said that it sends no more.
    bool has_unread_ = false; // There is input that we leave unread for now.
    bool has_calls_ = false;  // There may be whole calls in incoming_.

    Session session_;
    Quota::Charge charge_;
    Outbox outbox_;
    Outbox::Flushed flushed_ = Outbox::Flushed::all;
    std::unique_ptr<Pending> pending_;
    struct Answered {
        std::uint64_t end; // Of its last reply, in all that is written to the outbox.
        std::unique_ptr<Pending> pending;
    };
    std::vector<Answered> answered_; // Until the kernel has their last reply.
    bool has_news_ = false;          // Of pending_, that were not asked for yet.
    std::optional<EventLoop::Alarm> retry_;

    UniqueFd socket_;
    std::uint32_t watched_events_ = 0;
    std::optional<EventLoop::Watch> watch_; // After socket_: it must go first.
};

} // namespace evfd::daemon
