#include "client/pending_wait.h"

namespace evfd {

Try<PendingWait> PendingWait::begin(Daemon& daemon, protocol::Wait request, Deadline deadline)
{
    auto channel = daemon.borrow();
    if (!channel)
        return std::unexpected(std::move(channel.error()));
    if (deadline)
        request.timeout = left_until(*deadline);
    const auto sent = channel->send(std::move(request), monotonic_after(daemon.patience()));
    if (!sent)
        return std::unexpected(sent.error());
    return PendingWait{daemon, *std::move(channel)};
}

Try<PendingWait::Fired> PendingWait::finish()
{
    auto received = channel_.receive<protocol::Wait>(monotonic_after(daemon_->patience()));
    daemon_->give_back(std::move(channel_));
    if (!received)
        return std::unexpected(std::move(received.error()));
    return std::move(received->reply.fired);
}

// Once we hung up, the daemon cannot send its answer and puts back what it took; an answer that was
// sent before is there to be read.
std::optional<PendingWait::Fired> PendingWait::call_off()
{
    channel_.hang_up();
    auto received = channel_.receive<protocol::Wait>(monotonic_after(daemon_->patience()));
    if (!received)
        return {};
    return std::move(received->reply.fired);
}

} // namespace evfd
