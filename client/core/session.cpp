#include "client/core/session.h"
#include "common/result.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/random.h>

#include <array>
#include <cstdint>

namespace evfd {

namespace {

Try<std::string> make_token()
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
Try<PrivateFd> Line::reach()
{
    const auto give_up = monotonic_after(patience_);
    while (true) {
        auto socket = connect_to(*address_, was_connected_ ? Before::was_there : Before::unknown);
        // What has no session yet can be tried by the caller as well.
        const bool is_hopeless =
            !socket && socket.error().code == ErrorCode::no_descriptor && session_.empty();
        if (socket || !was_connected_ || is_hopeless || monotonic_now() >= give_up)
            return socket;
        ::poll(nullptr, 0, address_->pause_ms());
    }
}

Try<void> Line::connect()
{
    // While it was idle: what would go to a daemon that is gone would not be done.
    if (is_connected() && channel_->is_closed())
        channel_.reset();
    return begin({}, true);
}

void Line::use(PrivateFd socket)
{
    channel_.emplace(std::move(socket), address_->remote ? FarEnd::relay : FarEnd::daemon);
}

Try<void> Line::begin(const Attempt& attempt, bool is_repeatable)
{
    // A killed daemon may let us in once more before its listening socket is closed.
    const auto give_up = monotonic_after(patience_);
    while (!is_connected()) {
        auto socket = reach();
        if (!socket)
            return std::unexpected(socket.error());
        use(*std::move(socket));
        was_connected_ = true;
        if (session_.empty()) {
            const auto token = make_token();
            if (!token)
                return std::unexpected(token.error());
            session_ = *token;
            calls_ = 0;
            user_ = Credentials::now();
            // Nothing is known of it yet, so there is nothing to hear.
            (void)channel_->send(protocol::Resume{session_, 0}, monotonic_after(patience_),
                                 Answers::none);
            break;
        }
        const auto is_certain = take_up();
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

bool Line::take_up_if_lost()
{
    if (session_.empty() || (is_connected() && !channel_->is_closed()))
        return true;
    if (!is_of(Credentials::now())) // But may be again, before the daemon gives it up.
        return false;
    auto socket = connect_to(address_->as_it_is(), Before::was_there);
    if (!socket)
        return false;
    use(*std::move(socket));
    const auto is_certain = take_up();
    if (!is_certain && !is_connected())
        return false;
    if (!is_certain || !*is_certain)
        end(); // Another daemon, which knows nothing of what belonged to us.
    return true;
}

// Whether it is certain what was done before. An error without a connection: it went again.
Try<bool> Line::take_up()
{
    const auto deadline = monotonic_after(patience_);
    if (const auto sent = channel_->send(protocol::Resume{session_, calls_}, deadline); !sent)
        return std::unexpected(sent.error());
    const auto reply = receive<protocol::Resume>(*channel_, deadline);
    if (!reply)
        return std::unexpected(reply.error());
    for (const auto& frame : told_)
        if (const auto sent = channel_->send_frame(frame, deadline); !sent)
            return std::unexpected(sent.error());
    return reply->is_certain;
}

void Line::note_answer(bool counts)
{
    told_.clear(); // It was read before.
    if (counts)
        ++calls_;
}

// A daemon that is killed again and again, faster than it can answer.
bool Line::goes_on_too_long(Attempt& attempt) const
{
    const auto now = monotonic_now();
    if (now - attempt.last_interruption > patience_)
        attempt.first_interruption = now;
    attempt.last_interruption = now;
    return now - attempt.first_interruption > patience_;
}

Try<void> Line::finish()
{
    const auto session = session_;
    auto finished = session.empty() ? Try<void>{std::unexpected(lost_session())} : connect();
    if (finished && session_ != session)
        finished = std::unexpected(lost_session());
    for (bool is_there = true; finished && is_there;) {
        finished = channel_->part(monotonic_after(patience_));
        const auto left = finished ? is_left() : false;
        if (!left)
            finished = std::unexpected(left.error());
        is_there = left && *left;
    }
    end();
    return finished;
}

// Now that the connection was closed: whether that was a daemon's that was killed, so that the
// session is there still, and is taken up.
Try<bool> Line::is_left()
{
    const auto give_up = monotonic_after(patience_);
    while (calls_ > 0) { // Else nothing counted on it.
        auto socket = reach();
        if (!socket)
            return std::unexpected(socket.error());
        use(*std::move(socket));
        const auto is_certain = take_up();
        if (is_certain || is_connected())
            return is_certain.has_value();
        if (monotonic_now() > give_up)
            return std::unexpected(is_certain.error());
    }
    return false;
}

void Line::end()
{
    if (channel_) // Someone may have a duplicate, which would keep the session alive.
        channel_->hang_up();
    channel_.reset();
    session_.clear();
    belongings_ = {};
    calls_ = 0;
    told_.clear();
}

} // namespace evfd
