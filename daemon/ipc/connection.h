// One client's connection: takes calls from its stream, passes them to the service, and puts the
// replies into the stream.
//
// A connection handles one call at a time. While a reply is pending, or while the output is above
// its high-water mark, no further call is taken and nothing is read. A client that does not read
// its replies thus blocks only itself.
//
// on_events() reads the socket. It serves the connection at once if the fair scheduler permits
// this, and enqueues the connection if not. serve() is one turn: it answers as many calls as the
// budget allows, flushes the output, updates the user's charges, and reports to the scheduler how
// much time and how many calls were used. rest() then decides which events to wait for.
//
// A reply is sent only after the changes that it reports are committed. flush() needs a Committed,
// which proves this.
//
// Invariants:
// - The destructor ends pending replies first and the session afterwards, so that no wait
//   consumes tokens that the end of the session returns.
// - A pending reply whose must_finish() returns true is brought to its end even if the peer has
//   hung up.
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

// The result of some functions of a connection. It says whether the connection's owner must keep
// the connection or close it.
enum class Next { keep, close };

class Connection {
public:
    // For `socket` and `descriptors`, see the constructor of Stream. Connections can share
    // `scratch`, because they use it only while one of their functions runs. The scheduler
    // identifies the connection by the id that `session` has now. When the scheduler reports that
    // it is the connection's turn, the owner of the connection must call serve().
    Connection(EventLoop& loop, FairScheduler& scheduler, Service& service, json::Document& scratch,
               UniqueFd socket, IncomingFds descriptors, Session session,
               ConnectionCharges charges);
    ~Connection();
    // Not movable, because pending replies wake the connection by its address.
    Connection(const Connection&) = delete;

    // Watches the socket from now on. `callback` must call on_events().
    Result<void> attach(EventLoop::Callback callback);
    [[nodiscard]] Next on_events(std::uint32_t events);
    [[nodiscard]] Next serve();

    // Stops watching the socket and returns it. The caller must close the socket.
    UniqueFd release_socket() { return stream_.release_socket(); }
    // Returns whether it is possible that the client has sent descriptors.
    IncomingFds incoming_fds() const { return stream_.incoming_fds(); }

    uid_t uid() const { return session_.peer.uid; }
    // Checks whether the client has read the descriptors that were sent to it, and updates the
    // charges of the client's user.
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
    // Returns whether the next call can be answered now. While the user's clients leave too many
    // bytes of replies unread, each call gets an error, and the next call waits until that error is
    // sent.
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

    // The id of the session with which this connection began. A Resume call can replace session_ by
    // another session; this id stays the same.
    const std::uint64_t id_;
    EventLoop& loop_;
    FairScheduler& scheduler_;
    Service& service_;
    json::Document& scratch_;
    bool is_queued_ = false; // True from enqueue() until the connection is served.

    Stream stream_;
    Session session_;
    ConnectionCharges charges_;
    // False while the user's clients leave too many bytes of their replies unread.
    bool may_reply_ = true;
    UnfinishedReplies replies_;
    // True if an unsent reply or the pending reply can report a change. The change must be
    // committed before the reply is sent.
    bool reports_changes_ = false;
    std::optional<EventLoop::Timeout> retry_;
    const nanoseconds accepted_ = now_on(Clock::boottime);
};

} // namespace evfd::daemon
