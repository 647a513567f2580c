// A line to the daemon: a session over one connection at a time. When the daemon is killed, the
// session is taken up again on the next connection: what belongs to it goes on, and the call that
// was under way is sent again, which the daemon does once. One thread at a time.
#pragma once

#include "client/core/address.h"
#include "client/core/connection.h"
#include "client/core/credentials.h"
#include "client/core/session_handles.h"
#include "common/clock.h"
#include "evfd/error.h"

#include <deque>
#include <optional>
#include <string>

namespace evfd {

class Session {
public:
    // `patience`: how long the daemon may take to answer, or to be there again.
    // `was_connected`: the daemon was there once, so it is waited for.
    Session(const Address& address, nanoseconds timeout, bool was_connected = false)
        : address_{&address}, timeout_{timeout}, was_connected_{was_connected}
    {
    }

    // Whether it can be used as it is.
    bool is_connected() const { return connection_ && connection_->is_usable(); }
    // Connects if it is not; takes the session up again. A daemon that was there is waited for.
    Expected<void> connect();
    bool was_connected() const { return was_connected_; }
    // Whether something may belong to it.
    bool has_session() const { return !session_.empty(); }
    // Whether a call on it is one of a process that is `who`. A session is its user's for good.
    bool matches_user(const Credentials& credentials) const
    {
        return session_.empty() || user_ == credentials;
    }
    // What belongs to the session; empty once it has ended.
    SessionHandles& handles() { return handles_; }
    const SessionHandles& handles() const { return handles_; }
    // A session that has lost its connection gets one if the daemon is there now: without waiting
    // for it, or starting it. False if it is not.
    bool resume_if_lost();
    // As long as is_connected().
    Connection& connection() { return *connection_; }
    const Connection& connection() const { return *connection_; }

    // A call and its answer. What came to nothing because the daemon was killed is done again.
    template <Message Request>
    Expected<typename Request::Reply> call(const Request& request)
    {
        return call_with<Request>([&] { return request; },
                                  [&](Connection& channel) {
                                      return receive<Request>(channel,
                                                              monotonic_deadline(timeout_));
                                  });
    }

    // The same, where what is sent depends on the time, and how it is waited for is the caller's
    // business: `await(channel)` gives the reply.
    template <Message Request, class MakeRequest, class Await>
    Expected<typename Request::Reply> call_with(MakeRequest make_request, Await await)
    {
        for (Attempt attempt;;) {
            if (const auto ready = ensure_connected(attempt, protocol::is_repeatable<Request>);
                !ready) {
                if (attempt.was_sent) // And may have been done: the next one would be answered so.
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
            if (reply) // Or the time for it was over, and nobody will know how it ended.
                return reply;
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
    static Expected<typename Request::Reply> receive(Connection& channel, Deadline deadline)
    {
        auto received = channel.receive<Request>(deadline);
        if (!received)
            return std::unexpected(received.error());
        return std::move(received->reply);
    }

    // A call whose answer is not awaited. It reaches the daemon once the line is connected, or has
    // become meaningless with the end of the session.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        if (session_.empty()) // It has nothing that this could be about.
            return;
        if (unacknowledged_.size() == max_unacknowledged)
            unacknowledged_.pop_front();
        unacknowledged_.push_back(Connection::encode_call(request, ReplyMode::none));
        if (is_connected())
            (void)connection_->send_frame(unacknowledged_.back(), monotonic_deadline(timeout_));
    }

    // To a call that was sent and awaited by hand, on a line that is still connected.
    void record_reply(bool exactly_once);
    // The session is given up; with the next call another one begins.
    void end();
    // The same, when the daemon has done what goes with it. An error: the daemon is not there, or
    // it had forgotten the session.
    Expected<void> finish();

private:
    static constexpr std::size_t max_unacknowledged = 1024;

    // One call, which may take several.
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
    std::string session_; // Its token; empty before the first connection.
    Credentials user_;    // With which the session began.
    SessionHandles handles_;
    std::int64_t sequence_ = 0; // That were counted and answered.
    std::deque<std::string>
        unacknowledged_; // Since the last answer: the daemon may not have read it.
};

} // namespace evfd
