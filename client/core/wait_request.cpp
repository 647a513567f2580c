#include "client/core/wait_request.h"

#include <utility>

namespace evfd {

Expected<WaitRequest> WaitRequest::begin(ConnectionPool& pool, protocol::Wait request,
                                         Deadline deadline, ReturnWhen return_when)
{
    auto line = pool.acquire_connected();
    if (!line)
        return std::unexpected(std::move(line.error()));
    WaitRequest pending{pool, *std::move(line), std::move(request), deadline, return_when};
    if (const auto asked = pending.resubmit(); !asked)
        return std::unexpected(asked.error());
    return pending;
}

// A daemon that is killed before it says that it waits is asked again.
Expected<void> WaitRequest::resubmit()
{
    const auto give_up = monotonic_deadline(pool_->timeout());
    while (true) {
        auto asked = submit();
        if (asked || asked.error().code != ErrorCode::interrupted || monotonic_now() > give_up)
            return asked;
    }
}

Expected<void> WaitRequest::submit()
{
    if (const auto connected = session_.connect(); !connected)
        return connected;
    if (deadline_)
        request_.timeout = time_until(*deadline_);
    auto& channel = session_.connection();
    const auto patience = monotonic_deadline(pool_->timeout());
    if (return_when_ == ReturnWhen::submitted)
        return channel.send(request_, patience);
    if (const auto sent = channel.send(request_, patience, ReplyMode::stream); !sent)
        return sent;
    auto first = channel.receive<protocol::Wait>(patience);
    if (!first)
        return std::unexpected(std::move(first.error()));
    if (first->continues)
        return {};
    auto fired = ConnectionPool::validate_fired(request_, std::move(first->reply.fired));
    if (!fired)
        return std::unexpected(std::move(fired.error()));
    early_reply_ = *std::move(fired); // It had the answer from before.
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

// Once we hung up, the daemon cannot send its answer and puts back what it took; an answer that was
// sent before is there to be read.
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
