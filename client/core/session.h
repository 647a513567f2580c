// Session: a resumable conversation with the daemon, over one connection at a time.
//
// The client chooses a random token and sends it with Resume on every connection. The daemon keeps
// the session by that token, in its state store, with what belongs to it: subscriptions, temporary
// objects, holds, the number of executed calls and the reply to the last one.
//
// If the connection is lost during a call, the session connects again, sends Resume with the number
// of replies that it has received, and sends the call again. The daemon compares that number with
// its own. It executes the call, or sends the cached reply if it had executed it before. So a call
// with an effect is executed exactly once, however often the daemon is killed meanwhile.
//
// If the daemon does not know the session (its state was lost, or the session was not resumed in
// time), a new session begins. A call that was sent before then fails with `interrupted`, unless it
// is safe to repeat.
//
// What must hold:
//   - One thread at a time uses a Session.
//   - sequence_ counts the replies to calls that the daemon counts, and no others.
//   - A call that was sent and has no reply is sent again, or ends the session: the next call would
//     otherwise get its cached reply.
//   - A one-way call stays in unacknowledged_ until a later reply proves that it was read.
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

namespace evfd {

class Session {
public:
    // `timeout`: longest time for the daemon to answer, or to restart. `was_connected`: the daemon
    // has been running before, so connect() waits for it to restart.
    Session(const Address& address, nanoseconds timeout, bool was_connected = false)
        : address_{&address}, timeout_{timeout}, was_connected_{was_connected}
    {
    }

    // Returns whether the connection can be used as it is.
    bool is_connected() const { return connection_ && connection_->is_usable(); }
    // Connects if necessary and resumes the session. Waits for a daemon that has been running
    // before.
    Expected<void> connect();
    bool was_connected() const { return was_connected_; }
    // Returns whether anything can belong to the session.
    bool has_session() const { return !session_.empty(); }
    // Returns whether a process with these credentials may use the session. A session belongs to
    // one user for its lifetime.
    bool matches_user(const Credentials& credentials) const
    {
        return session_.empty() || user_ == credentials;
    }
    // Returns whether the session is known to be of the user that the calling thread acts as now.
    // One system call for an ordinary process, which cannot change its groups.
    bool is_of_current_user() const
    {
        return has_session() && user_.uid == ::geteuid() &&
               (!user_can_change_groups_ || user_ == Credentials::now());
    }
    bool has_user_of(const Session& other) const { return user_ == other.user_; }
    // The objects and subscriptions of the session; empty after its end.
    SessionHandles& handles() { return handles_; }
    const SessionHandles& handles() const { return handles_; }
    // Resumes a session that lost its connection, if the daemon is running now. Neither waits for
    // the daemon nor starts it. Returns false if the session is still disconnected.
    bool resume_if_lost();
    // Valid only while is_connected().
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

    // Like call(), for a request that depends on the time and a reply that the caller awaits
    // itself: `await(connection)` returns it.
    template <Message Request, class MakeRequest, class Await>
    Expected<typename Request::Reply> call_with(MakeRequest make_request, Await await)
    {
        for (Attempt attempt;;) {
            if (const auto ready = ensure_connected(attempt, protocol::is_repeatable<Request>);
                !ready) {
                // The daemon may have executed the call. The next call of this session would then
                // get its reply.
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
            // After a timeout, for example, the result of the call remains unknown.
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
    // connect(). The end of the session makes it unnecessary.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        if (session_.empty()) // Nothing belongs to the session, so there is nothing to call about.
            return;
        if (unacknowledged_.size() == max_unacknowledged)
            unacknowledged_.pop_front();
        unacknowledged_.push_back(Connection::encode_call(request, ReplyMode::none));
        if (is_connected())
            (void)connection_->send_frame(unacknowledged_.back(), monotonic_deadline(timeout_));
    }

    // Records the reply to a call that the caller sent and awaited itself, on a session that is
    // still connected.
    void record_reply(bool exactly_once);
    // Abandons the session. The next call begins another one.
    void end();
    // Ends the session, and returns after the daemon has released what belongs to it. An error: the
    // daemon cannot be reached, or did not know the session any more.
    Expected<void> finish();

private:
    static constexpr std::size_t max_unacknowledged = 1024;

    // State of one call over all of its attempts.
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
    bool retries_exhausted(Attempt& attempt) const;

    const Address* address_;
    nanoseconds timeout_;
    bool was_connected_ = false;
    std::optional<Connection> connection_;
    std::string session_; // Token of the session; empty before the first connection.
    Credentials user_;    // User that began the session.
    bool user_can_change_groups_ = true;
    SessionHandles handles_;
    std::int64_t sequence_ = 0; // Number of counted calls with a reply.
    // One-way calls since the last reply. The daemon may not have read them.
    std::deque<std::string> unacknowledged_;
};

} // namespace evfd
