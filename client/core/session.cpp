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
    return {ErrorCode::interrupted,
            "the daemon was started anew and does not know what it did before; whether the last "
            "call was done is not known: look, and try again"};
}

} // namespace

// At first someone must be there. A daemon that was there is being restarted: that takes a moment.
Expected<CloseOnForkFd> Session::connect_with_retry()
{
    const auto give_up = monotonic_deadline(timeout_);
    while (true) {
        auto socket =
            connect_to(*address_, was_connected_ ? ConnectMode::reconnect : ConnectMode::initial);
        // What has no session yet can be tried by the caller as well.
        const bool is_hopeless =
            !socket && socket.error().code == ErrorCode::no_descriptor && session_.empty();
        if (socket || !was_connected_ || is_hopeless || monotonic_now() >= give_up)
            return socket;
        ::poll(nullptr, 0, address_->retry_interval_ms());
    }
}

Expected<void> Session::connect()
{
    // While it was idle: what would go to a daemon that is gone would not be done.
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
    // A killed daemon may let us in once more before its listening socket is closed.
    const auto give_up = monotonic_deadline(timeout_);
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
            // Nothing is known of it yet, so there is nothing to hear.
            (void)connection_->send(protocol::Resume{session_, 0}, monotonic_deadline(timeout_),
                                    ReplyMode::none);
            break;
        }
        const auto is_certain = resume();
        if (!is_certain && !is_connected()) {
            if (monotonic_now() < give_up)
                continue;
            end();
            return std::unexpected(is_certain.error());
        }
        if (is_certain && *is_certain)
            break;
        // It is another one, with which all begins anew.
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
    if (!matches_user(Credentials::now())) // But may be again, before the daemon gives it up.
        return false;
    auto socket = connect_to(address_->without_autostart(), ConnectMode::reconnect);
    if (!socket)
        return false;
    adopt_socket(*std::move(socket));
    const auto is_certain = resume();
    if (!is_certain && !is_connected())
        return false;
    if (!is_certain || !*is_certain)
        end(); // Another daemon, which knows nothing of what belonged to us.
    return true;
}

// Whether it is certain what was done before. An error without a connection: it went again.
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
    return reply->is_certain;
}

void Session::record_reply(bool exactly_once)
{
    unacknowledged_.clear(); // It was read before.
    if (exactly_once)
        ++sequence_;
}

// A daemon that is killed again and again, faster than it can answer.
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
    for (bool is_there = true; finished && is_there;) {
        finished = connection_->close_gracefully(monotonic_deadline(timeout_));
        const auto left = finished ? session_exists() : false;
        if (!left)
            finished = std::unexpected(left.error());
        is_there = left && *left;
    }
    end();
    return finished;
}

// Now that the connection was closed: whether that was a daemon's that was killed, so that the
// session is there still, and is taken up.
Expected<bool> Session::session_exists()
{
    const auto give_up = monotonic_deadline(timeout_);
    while (sequence_ > 0) { // Else nothing counted on it.
        auto socket = connect_with_retry();
        if (!socket)
            return std::unexpected(socket.error());
        adopt_socket(*std::move(socket));
        const auto is_certain = resume();
        if (is_certain || is_connected())
            return is_certain.has_value();
        if (monotonic_now() > give_up)
            return std::unexpected(is_certain.error());
    }
    return false;
}

void Session::end()
{
    if (connection_) // Someone may have a duplicate, which would keep the session alive.
        connection_->disconnect();
    connection_.reset();
    session_.clear();
    handles_ = {};
    sequence_ = 0;
    unacknowledged_.clear();
}

} // namespace evfd
