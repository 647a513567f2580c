// Session: a resumable conversation with the daemon, over one connection at a time.
//
// The client chooses a random token and sends it with Resume on every connection. The daemon's
// state store keeps for each token what belongs to the session: subscriptions, temporary objects,
// holds, the number of executed calls and the reply to the last call.
//
// If the connection is lost during a call, the session connects again, sends Resume with the number
// of replies that it has received, and sends the call again. The daemon compares that number with
// its own. If the daemon has already executed the call, it sends the cached reply. Else it executes
// the call. So a call with an effect is executed exactly once, however often the daemon is killed
// meanwhile.
//
// If the daemon does not know the session (its state was lost, or the session was not resumed in
// time), a new session begins. A call that was sent in the old session fails with `interrupted`,
// unless it is safe to repeat.
//
// Invariants:
//   - One thread at a time uses a Session.
//   - The daemon counts the calls of some types. sequence_ is the number of replies to those calls.
//   - A call that was sent and has no reply is sent again, or the session ends. Without this rule,
//     the next call would get the cached reply to the unanswered call.
//   - A call of send_oneway() stays in unacknowledged_ until a later reply proves that the daemon
//     has read the call. A call of send_once() is not kept: the daemon does not count a one-way
//     call, so a repeated one could be executed twice.
#pragma once

#include "client/core/address.h"
#include "client/core/connection.h"
#include "client/core/credentials.h"
#include "client/core/session_handles.h"
#include "common/clock.h"
#include "evfd/error.h"

#include <unistd.h>

#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

class Session {
public:
    // `timeout` is the longest time for the daemon to answer a call, or to restart. `was_connected`
    // tells whether the daemon has been running before. If so, connect() waits for the daemon to
    // restart.
    Session(const Address& address, nanoseconds timeout, bool was_connected = false)
        : address_{&address}, timeout_{timeout}, was_connected_{was_connected}
    {
    }

    // Returns whether a connection exists and can carry another call.
    bool is_connected() const { return connection_ && connection_->is_usable(); }
    // Connects if necessary and resumes the session. If the daemon has been running before, waits
    // for the daemon to restart.
    Expected<void> connect();
    bool was_connected() const { return was_connected_; }
    // Returns whether a session has begun and not ended. Without a session, the daemon keeps
    // nothing for this client.
    bool has_session() const { return !session_.empty(); }
    // Returns whether a process with these credentials is allowed to use the session. A session
    // never changes its user.
    bool matches_user(const Credentials& credentials) const
    {
        return session_.empty() || user_ == credentials;
    }
    // Returns whether the session certainly belongs to the current user and groups of the calling
    // thread. Most processes cannot change their groups. For such a process, this function compares
    // only the user, which needs one system call.
    bool is_of_current_user() const
    {
        return has_session() && (user_can_change_groups_ ? user_ == Credentials::now()
                                                         : user_.uid == ::geteuid());
    }
    bool has_user_of(const Session& other) const { return user_ == other.user_; }
    // Returns the objects and subscriptions of the session. After the session has ended, there are
    // none.
    SessionHandles& handles() { return handles_; }
    const SessionHandles& handles() const { return handles_; }
    // Resumes a session that lost its connection, if the daemon is running now. Does not wait for
    // the daemon and does not start a daemon. Returns false if the session is still disconnected.
    bool resume_if_lost();
    // Returns the connection. Call this function only while is_connected() returns true.
    Connection& connection() { return *connection_; }
    const Connection& connection() const { return *connection_; }

    // Executes a call and returns its reply. Repeats the call if the daemon is restarted.
    template <Message Request>
    Expected<typename Request::Reply> call(const Request& request)
    {
        return call_with<Request>([&] { return request; },
                                  [&](Connection& connection) {
                                      return receive<Request>(connection,
                                                              monotonic_deadline(timeout_));
                                  });
    }

    // Like call(), but with two functions of the caller. `make_request()` returns the request. It
    // runs for each attempt, because the request can contain the time until the deadline.
    // `await(connection)` waits for the reply and returns the reply.
    template <Message Request, class MakeRequest, class Await>
    Expected<typename Request::Reply> call_with(MakeRequest make_request, Await await)
    {
        for (Attempt attempt;;) {
            if (const auto ready = ensure_connected(attempt, protocol::is_repeatable<Request>);
                !ready) {
                // The session ends, because the daemon has possibly executed the call. If so, the
                // next call in this session would get the reply to this call.
                if (attempt.was_sent)
                    end();
                return std::unexpected(ready.error());
            }
            const auto sent = connection_->send(make_request(), monotonic_deadline(timeout_));
            attempt.was_sent |= connection_->has_sent();
            auto reply = sent ? await(*connection_)
                              : Expected<typename Request::Reply>{std::unexpected(sent.error())};
            if (is_connected()) {
                record_reply(protocol::is_counted<Request>);
                return reply;
            }
            if (reply)
                return reply;
            // The connection was not lost, but became unusable for another reason. For example, the
            // daemon did not answer in time. The result of the call remains unknown, so the session
            // ends.
            if (reply.error().code != ErrorCode::interrupted) {
                end();
                return reply;
            }
            if (retries_exhausted(attempt)) {
                end();
                return reply;
            }
        }
    }

    template <Message Request>
    static Expected<typename Request::Reply> receive(Connection& connection, Deadline deadline)
    {
        auto received = connection.receive<Request>(deadline);
        if (!received)
            return std::unexpected(received.error());
        return std::move(received->reply);
    }

    // Sends a call that has no reply. If the connection is down, the call is sent after the next
    // connect(). If the session ends first, the call is dropped: every one-way call names a
    // subscription, and the subscription has ended with the session.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        // Without a session, the daemon has no subscription that the call could name.
        if (session_.empty())
            return;
        if (unacknowledged_.size() == max_unacknowledged)
            unacknowledged_.pop_front();
        unacknowledged_.push_back(Connection::encode_call(request, ReplyMode::none));
        if (is_connected())
            (void)connection_->send_frame(unacknowledged_.back(), monotonic_deadline(timeout_));
    }

    // Sends an encoded one-way call at most once. Connects if necessary, and connects again if the
    // daemon has closed the connection before the socket had the whole call. Fails only if the call
    // was not sent, so the daemon does not execute it. A daemon on another machine is different:
    // the function succeeds after the call has arrived at the daemon, and the failure `interrupted`
    // means that this is unknown.
    Expected<void> send_once(std::string_view frame);

    // Records that the last reply to a call has arrived. A caller that executes a counted call
    // directly over connection() must call this function, while the session is still connected.
    // `exactly_once` tells whether the daemon counts the call.
    void record_reply(bool exactly_once);
    // Abandons the session. The next call begins another session.
    void end();
    // Ends the session, and returns after the daemon has released everything that belongs to the
    // session. Fails if the daemon cannot be reached, or no longer knows the session.
    Expected<void> finish();

private:
    static constexpr std::size_t max_unacknowledged = 1024;

    // The state of one call, kept over all attempts to execute it.
    struct Attempt {
        bool was_sent = false;
        MonotonicTime first_interruption{};
        MonotonicTime last_interruption{};
    };

    Expected<void> ensure_connected(const Attempt& attempt, bool is_repeatable);
    Expected<CloseOnForkFd> connect_with_retry();
    void adopt_socket(CloseOnForkFd socket);
    Expected<bool> resume();
    Expected<bool> session_exists();
    Expected<void> await_arrival();
    bool retries_exhausted(Attempt& attempt) const;

    const Address* address_;
    nanoseconds timeout_;
    bool was_connected_ = false;
    std::optional<Connection> connection_;
    std::string session_; // The random token of the session, or empty if there is no session.
    Credentials user_;    // The user and groups of the process when the session began.
    bool user_can_change_groups_ = true;
    SessionHandles handles_;
    // The number of received replies to calls of the types that the daemon counts.
    std::int64_t sequence_ = 0;
    // The encoded one-way calls that the daemon has possibly not read yet. The reply to a later
    // call empties the list.
    std::deque<std::string> unacknowledged_;
};

} // namespace evfd
