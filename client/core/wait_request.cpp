#include "client/core/wait_request.h"

#include <utility>

namespace evfd {

Expected<WaitRequest> WaitRequest::begin(ConnectionPool& pool, protocol::Wait request,
                                         Deadline deadline, ReturnWhen return_when)
{
    auto session = pool.acquire_connected();
    if (!session)
        return std::unexpected(std::move(session.error()));
    WaitRequest wait_request{pool, *std::move(session), std::move(request), deadline, return_when};
    if (const auto submitted = wait_request.resubmit(); !submitted)
        return std::unexpected(submitted.error());
    return wait_request;
}

// Sends the call, and sends it again if the daemon is killed before it confirms the wait.
Expected<void> WaitRequest::resubmit()
{
    const auto retry_deadline = monotonic_deadline(pool_->timeout());
    while (true) {
        auto submitted = submit();
        if (submitted || submitted.error().code != ErrorCode::interrupted ||
            monotonic_now() > retry_deadline)
            return submitted;
    }
}

Expected<void> WaitRequest::submit()
{
    if (const auto connected = session_.connect(); !connected)
        return connected;
    if (deadline_)
        request_.timeout = time_until(*deadline_);
    auto& connection = session_.connection();
    const auto reply_deadline = monotonic_deadline(pool_->timeout());
    if (return_when_ == ReturnWhen::submitted)
        return connection.send(request_, reply_deadline);
    if (const auto sent = connection.send(request_, reply_deadline, ReplyMode::stream); !sent)
        return sent;
    auto first = connection.receive<protocol::Wait>(reply_deadline);
    if (!first)
        return std::unexpected(std::move(first.error()));
    if (first->continues)
        return {};
    auto fired = ConnectionPool::validate_fired(request_, std::move(first->reply.fired));
    if (!fired)
        return std::unexpected(std::move(fired.error()));
    // The daemon sent the final reply instead of a confirmation. The wait was complete before the
    // previous connection was lost, so the daemon has only sent the reply again.
    early_reply_ = *std::move(fired);
    return {};
}

Expected<WaitRequest::Fired> WaitRequest::finish()
{
    auto reply = early_reply_ ? Expected<protocol::Wait::Reply>{{*std::exchange(early_reply_, {})}}
                              : Session::receive<protocol::Wait>(
                                    session_.connection(), monotonic_deadline(pool_->timeout()));
    if (session_.is_connected()) {
        session_.record_reply(true);
        pool_->release(std::move(session_));
    }
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return ConnectionPool::validate_fired(request_, std::move(reply->fired));
}

// Cancels the wait by a disconnect: the daemon then cannot send its reply, so it returns the
// consumed tokens to their events. A reply that was sent before the disconnect can still be read.
std::optional<WaitRequest::Fired> WaitRequest::cancel()
{
    if (early_reply_)
        return std::exchange(early_reply_, {});
    session_.connection().disconnect();
    auto reply = Session::receive<protocol::Wait>(session_.connection(),
                                                  monotonic_deadline(pool_->timeout()));
    auto fired = reply ? ConnectionPool::validate_fired(request_, std::move(reply->fired))
                       : Expected<Fired>{std::unexpected(std::move(reply.error()))};
    return fired ? std::optional{*std::move(fired)} : std::nullopt;
}

} // namespace evfd
