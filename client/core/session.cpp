#include "client/core/session.h"
#include "common/result.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>

#include <array>
#include <cstdint>

namespace evfd {

namespace {

Expected<std::string> make_token()
{
    std::array<std::uint64_t, 2> bits{};
    if (::getrandom(bits.data(), sizeof bits, 0) != sizeof bits)
        return std::unexpected(Error{ErrorCode::system, Fault::last("getrandom(2)").message()});
    return fmt::format("{:016x}{:016x}", bits[0], bits[1]);
}

Error lost_session()
{
    return {ErrorCode::interrupted, "the daemon was restarted and lost its state; whether the last "
                                    "call was executed is not known: check, and try again"};
}

} // namespace

// Connects to the daemon. A client that has never been connected fails at once if no daemon is
// running. A daemon that was running before is possibly restarting, so this function tries again
// until the timeout.
Expected<CloseOnForkFd> Session::connect_with_retry()
{
    const auto retry_deadline = monotonic_deadline(timeout_);
    while (true) {
        auto socket =
            connect_to(*address_, was_connected_ ? ConnectMode::reconnect : ConnectMode::initial);
        // If no descriptor is free and there is no session, this function does not retry. Without
        // a session, the caller loses nothing by trying again later.
        const bool is_hopeless =
            !socket && socket.error().code == ErrorCode::no_descriptor && session_.empty();
        if (socket || !was_connected_ || is_hopeless || monotonic_now() >= retry_deadline)
            return socket;
        ::poll(nullptr, 0, address_->retry_interval_ms());
    }
}

Expected<void> Session::connect()
{
    // Drops the connection if the daemon exited while the session was idle, because a call on that
    // connection would not be executed.
    if (is_connected() && connection_->is_closed())
        connection_.reset();
    return ensure_connected({}, true);
}

void Session::adopt_socket(CloseOnForkFd socket)
{
    connection_.emplace(std::move(socket), address_->remote ? PeerKind::relay : PeerKind::daemon);
}

Expected<void> Session::ensure_connected(const Attempt& attempt, bool is_repeatable)
{
    // When the daemon is killed, its listening socket can still take a connection until the kernel
    // closes the socket. Such a connection is lost at once, so the loop connects again.
    const auto retry_deadline = monotonic_deadline(timeout_);
    while (!is_connected()) {
        auto socket = connect_with_retry();
        if (!socket)
            return std::unexpected(socket.error());
        adopt_socket(*std::move(socket));
        was_connected_ = true;
        if (session_.empty()) {
            const auto token = make_token();
            if (!token)
                return std::unexpected(token.error());
            session_ = *token;
            sequence_ = 0;
            user_ = Credentials::now();
            user_can_change_groups_ = can_change_groups();
            // Sends Resume without asking for a reply. The reply would only tell whether the daemon
            // knows which calls of the session were executed. A new session has made no call yet.
            (void)connection_->send(protocol::Resume{session_, 0}, monotonic_deadline(timeout_),
                                    ReplyMode::none);
            break;
        }
        const auto is_certain = resume();
        if (!is_certain && !is_connected()) {
            if (monotonic_now() < retry_deadline)
                continue;
            end();
            return std::unexpected(is_certain.error());
        }
        if (is_certain && *is_certain)
            break;
        // The daemon does not know the session, or does not know which calls of the session were
        // executed. The next iteration begins another session.
        end();
        if (attempt.was_sent && !is_repeatable)
            return std::unexpected(lost_session());
    }
    return {};
}

bool Session::resume_if_lost()
{
    if (session_.empty() || (is_connected() && !connection_->is_closed()))
        return true;
    // The current user is not allowed to resume the session of another user. The session is kept,
    // because the process can change back to the session's user before the daemon drops the
    // session.
    if (!matches_user(Credentials::now()))
        return false;
    auto socket = connect_to(address_->without_autostart(), ConnectMode::reconnect);
    if (!socket)
        return false;
    adopt_socket(*std::move(socket));
    const auto is_certain = resume();
    if (!is_certain && !is_connected())
        return false;
    if (!is_certain || !*is_certain)
        end(); // The daemon that answered does not know this session.
    return true;
}

// Resumes the session on the new connection. Returns whether the daemon knows exactly which calls
// were executed. If this function fails and is_connected() returns false, the connection was lost
// again.
Expected<bool> Session::resume()
{
    const auto deadline = monotonic_deadline(timeout_);
    if (const auto sent = connection_->send(protocol::Resume{session_, sequence_}, deadline); !sent)
        return std::unexpected(sent.error());
    const auto reply = receive<protocol::Resume>(*connection_, deadline);
    if (!reply)
        return std::unexpected(reply.error());
    for (const auto& frame : unacknowledged_)
        if (const auto sent = connection_->send_frame(frame, deadline); !sent)
            return std::unexpected(sent.error());
    return reply->is_history_complete;
}

Expected<void> Session::send_once(std::string_view frame)
{
    for (Attempt attempt;;) {
        // Each attempt is like the first one, because the daemon executes no part of a call.
        if (const auto ready = ensure_connected({}, true); !ready)
            return ready;
        const auto sent = connection_->send_oneway_frame(frame, monotonic_deadline(timeout_));
        if (sent)
            return address_->remote ? await_arrival() : sent;
        if (is_connected())
            return sent;
        if (sent.error().code != ErrorCode::interrupted || retries_exhausted(attempt)) {
            // This connection can carry no other call, and a running daemon ends the session with
            // the connection.
            end();
            return sent;
        }
    }
}

// Waits until the daemon has read all calls that were sent. A call to another machine is in the
// relay or on the network first, and is lost if ssh is killed together with this process. Any reply
// to a later call proves the arrival, even an error reply.
Expected<void> Session::await_arrival()
{
    const auto deadline = monotonic_deadline(timeout_);
    const auto sent = connection_->send(protocol::GetInfo{}, deadline);
    const auto reply = sent ? receive<protocol::GetInfo>(*connection_, deadline)
                            : Expected<protocol::GetInfo::Reply>{std::unexpected(sent.error())};
    if (reply || is_connected()) {
        record_reply(protocol::is_counted<protocol::GetInfo>);
        return {};
    }
    if (reply.error().code == ErrorCode::interrupted)
        return std::unexpected(reply.error());
    end();
    return std::unexpected(Error{ErrorCode::interrupted,
                                 "the daemon does not answer; whether the last call was executed "
                                 "is not known"});
}

void Session::record_reply(bool exactly_once)
{
    // The daemon reads calls in their order, so it has read all one-way calls that were sent before
    // the answered call.
    unacknowledged_.clear();
    if (exactly_once)
        ++sequence_;
}

// Records that the connection was lost during the call. Returns whether the connection has been
// lost again and again for longer than the timeout. If more time than the timeout passes without a
// loss, the next loss counts as the first loss.
bool Session::retries_exhausted(Attempt& attempt) const
{
    const auto now = monotonic_now();
    if (now - attempt.last_interruption > timeout_)
        attempt.first_interruption = now;
    attempt.last_interruption = now;
    return now - attempt.first_interruption > timeout_;
}

Expected<void> Session::finish()
{
    const auto session = session_;
    auto finished = session.empty() ? Expected<void>{std::unexpected(lost_session())} : connect();
    if (finished && session_ != session)
        finished = std::unexpected(lost_session());
    for (bool remains = true; finished && remains;) {
        finished = connection_->close_gracefully(monotonic_deadline(timeout_));
        const auto exists = finished ? session_exists() : false;
        if (!exists)
            finished = std::unexpected(exists.error());
        remains = exists && *exists;
    }
    end();
    return finished;
}

// Called after the daemon has closed the connection. If the daemon was killed, the session still
// exists: this function resumes the session and returns true. If the daemon has ended the session,
// this function returns false.
Expected<bool> Session::session_exists()
{
    const auto retry_deadline = monotonic_deadline(timeout_);
    // sequence_ is 0 if the daemon has answered no call that it counts. In that case nothing
    // belongs to the session, so no check is needed.
    while (sequence_ > 0) {
        auto socket = connect_with_retry();
        if (!socket)
            return std::unexpected(socket.error());
        adopt_socket(*std::move(socket));
        const auto is_certain = resume();
        if (is_certain || is_connected())
            return is_certain.has_value();
        if (monotonic_now() > retry_deadline)
            return std::unexpected(is_certain.error());
    }
    return false;
}

void Session::end()
{
    // Closing the socket is not enough, because a duplicate of the socket would keep the connection
    // and the session alive.
    if (connection_)
        connection_->disconnect();
    connection_.reset();
    session_.clear();
    handles_ = {};
    sequence_ = 0;
    unacknowledged_.clear();
}

} // namespace evfd
