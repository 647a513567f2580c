// One client's connection: takes calls from its stream, passes them to the service, and puts the
// replies into the stream.
//
// It handles one call at a time: while a reply is pending or the output is above its high-water
// mark, no further call is taken and nothing is read, so a client that does not read its replies
// blocks only itself.
//
// on_events() reads and serves at once if the fair scheduler permits it, and otherwise enqueues the
// connection. serve() is one turn: it answers as many calls as the budget allows, flushes the
// output, updates the user's charges, and tells the scheduler what was used. rest() then decides
// what to wait for.
//
// A reply is sent only after what it reports is committed: flush() needs the proof of it.
//
// Invariants:
// - The destructor ends pending replies first and the session afterwards, so that no wait
//   consumes tokens that the end of the session returns.
// - A pending reply with must_finish() is brought to its end even if the peer has hung up.
//
// A connection does not deal with objects; the handlers of the service do.
#pragma once

#include "common/json.h"
#include "common/time_slice.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/ipc/fair_scheduler.h"
#include "daemon/ipc/stream.h"
#include "daemon/ipc/unfinished_replies.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace evfd::daemon {

// The owner's next step after a call into the connection.
enum class Next { keep, close };

class Connection {
public:
    // `socket`, `descriptors`: see Stream. `scratch` is used during a call and may be shared. The
    // scheduler knows the connection by the id that the session has now, and causes serve() to be
    // called.
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

    // See Stream.
    UniqueFd release_socket() { return stream_.release_socket(); }
    IncomingFds incoming_fds() const { return stream_.incoming_fds(); }

    uid_t uid() const { return session_.peer.uid; }
    // Checks whether the client has read the descriptors it was sent.
    void refresh_unread_fds();

private:
    void enqueue();
    void update_charges();
    void wake();
    Next read();
    Next answer_calls(std::int64_t& calls_left, const TimeSlice& slice);
    Next answer(std::string_view frame);
    void advance_pending(const TimeSlice& slice);
    Next flush();
    std::optional<Committed> commit();
    void retry_later();
    Next rest();
    Stream::Need need() const;
    // Without reply room, calls are answered one at a time, with an error.
    bool accepts_calls() const
    {
        const auto& output = stream_.output();
        return !replies_.is_pending() && !output.above_high_water() &&
               (may_reply_ || output.is_empty());
    }
    bool accepts_input() const { return accepts_calls() && !stream_.has_calls(); }
    bool can_advance() const
    {
        return replies_.is_ready() && (may_reply_ || replies_.must_finish()) &&
               !stream_.output().above_high_water();
    }
    Next disconnect(std::string_view why) const;

    const std::uint64_t id_; // A copy, because Resume can replace the session and its id.
    EventLoop& loop_;
    FairScheduler& scheduler_;
    Service& service_;
    json::Document& scratch_;
    bool is_queued_ = false; // The connection was enqueued, and not served since.

    Stream stream_;
    Session session_;
    ConnectionCharges charges_;
    bool may_reply_ = true; // The user's clients have read enough of their replies.
    UnfinishedReplies replies_;
    bool reports_changes_ = false; // The output or the pending reply may report changes.
    std::optional<EventLoop::Timeout> retry_;
    const nanoseconds accepted_ = now_on(Clock::boottime);
};

} // namespace evfd::daemon
