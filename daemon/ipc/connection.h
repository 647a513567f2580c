// One client's connection: reads calls, passes them to the service, and sends the replies.
//
// The connection is a small state machine around three buffers: incoming_ holds bytes that were
// read, pending_ the reply in progress, and output_ replies that are not sent yet. It handles one
// call at a time: while a reply is pending or the output is above its high-water mark, no further
// call is taken and nothing is read, so a client that does not read its replies blocks only itself.
//
// on_events() reads and serves at once if the fair scheduler permits it, and otherwise enqueues the
// connection. serve() is one turn: it answers as many calls as the budget allows, flushes the
// output, updates the user's charges, and tells the scheduler what was used. update_epoll_events()
// then decides what to wait for.
//
// A reply is sent only after what it reports is committed: flush() needs the proof of it. A pending
// reply that is done stays in unsent_ until the kernel has accepted its last byte: then on_sent()
// confirms its effect, for example the tokens that a wait consumed. If the connection ends before
// that, on_dropped() undoes the effect.
//
// Invariants:
// - The destructor drops pending replies first and ends the session afterwards, so that no
//   wait consumes tokens that the end of the session returns.
// - A pending reply with must_finish() is brought to its end even if the peer has hung up.
// - A socket that may contain descriptors is peeked at before it is read, so that no descriptor
//   is received, and is closed by the owner (see FdCloser).
//
// A connection does not deal with objects; the handlers of the service do.
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

// The owner's next step after a call into the connection.
enum class Next { keep, close };

// Whether the client may have sent descriptors.
enum class IncomingFds { none, possible };

class Connection {
public:
    // `socket` is connected. `scratch` is used during a call and may be shared. The scheduler knows
    // the connection by the id that the session has now, and causes serve() to be called. With
    // IncomingFds::possible, a client that sends descriptors is disconnected, and they stay in the
    // socket.
    Connection(EventLoop& loop, FairScheduler& scheduler, Service& service, json::Document& scratch,
               UniqueFd socket, IncomingFds descriptors, Session session,
               ConnectionCharges charges);
    ~Connection();
    Connection(const Connection&) = delete; // Pinned: pending replies wake it by its address.
    Connection& operator=(const Connection&) = delete;

    // Watches the socket from now on; `callback` must call on_events().
    Result<void> attach(EventLoop::Callback callback);
    [[nodiscard]] Next on_events(std::uint32_t events);
    [[nodiscard]] Next serve();

    // Stops watching the socket and returns it; the caller closes it.
    UniqueFd release_socket();

    uid_t uid() const { return session_.peer.uid; }
    IncomingFds incoming_fds() const { return descriptors_; }
    // Checks whether the client has read the descriptors it was sent.
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
    std::optional<Committed> commit();
    void retry_later();
    Next update_epoll_events();
    std::uint32_t wanted_events() const;
    // Without reply room, calls are answered one at a time, with an error.
    bool accepts_calls() const
    {
        return !pending_ && !output_.above_high_water() && (may_reply_ || output_.is_empty());
    }
    bool accepts_input() const { return accepts_calls() && !has_calls_; }
    // An incomplete call that is larger than a client may have without a charge.
    bool is_long_call() const { return incoming_.unread_bytes() > max_uncounted_call_bytes; }
    bool must_finish() const { return pending_ && pending_->must_finish(); }
    bool is_blocked() const { return flushed_ != OutputQueue::Flushed::all; }
    Next disconnect(std::string_view why) const;

    const std::uint64_t id_; // A copy, because Resume can replace the session and its id.
    EventLoop& loop_;
    FairScheduler& scheduler_;
    Service& service_;
    json::Document& scratch_;
    bool is_queued_ = false; // The connection was enqueued, and not served since.

    FrameReader incoming_;
    bool peer_hung_up_ = false; // The peer can no longer receive.
    bool input_open_ = true;    // The peer may send more.
    bool has_unread_ = false;   // Input is left unread for now.
    bool has_calls_ = false;    // incoming_ may have complete calls.

    Session session_;
    ConnectionCharges charges_;
    bool may_reply_ = true; // The user's clients have read enough of their replies.
    OutputQueue output_;
    OutputQueue::Flushed flushed_ = OutputQueue::Flushed::all;
    std::unique_ptr<PendingReply> pending_;
    bool reports_changes_ = false; // output_ or pending_ may report changes.
    struct UnsentReply {
        // The position of its last byte, as counted by OutputQueue::bytes_queued().
        std::uint64_t end;
        std::unique_ptr<PendingReply> pending;
    };
    std::vector<UnsentReply> unsent_; // Until the kernel has accepted the last byte.
    bool pending_is_ready_ = false;   // pending_ may have something to write.
    std::optional<EventLoop::Timeout> retry_;

    const nanoseconds accepted_ = now_on(Clock::boottime);
    UniqueFd socket_;
    const IncomingFds descriptors_;
    std::uint32_t watched_events_ = 0;
    std::optional<EventLoop::Watch> watch_; // After socket_: the watch must be destroyed first.
};

} // namespace evfd::daemon
