#include "client/pending_wait.h"

namespace evfd {

Try<PendingWait> PendingWait::begin(Daemon& daemon, protocol::Wait request, Deadline deadline)
{
    auto line = daemon.borrow();
    if (!line)
        return std::unexpected(std::move(line.error()));
    PendingWait pending{daemon, *std::move(line), std::move(request), deadline};
    if (const auto asked = pending.ask_again(); !asked)
        return std::unexpected(asked.error());
    return pending;
}

Try<void> PendingWait::ask_again()
{
    if (const auto connected = line_.connect(); !connected)
        return connected;
    if (deadline_)
        request_.timeout = left_until(*deadline_);
    return line_.channel().send(request_, monotonic_after(daemon_->patience()));
}

Try<PendingWait::Fired> PendingWait::finish()
{
    auto reply =
        Line::receive<protocol::Wait>(line_.channel(), monotonic_after(daemon_->patience()));
    if (line_.is_connected()) {
        line_.note_answer(true);
        daemon_->give_back(std::move(line_));
    }
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->fired);
}

// Once we hung up, the daemon cannot send its answer and puts back what it took; an answer that was
// sent before is there to be read.
std::optional<PendingWait::Fired> PendingWait::call_off()
{
    line_.channel().hang_up();
    auto reply =
        Line::receive<protocol::Wait>(line_.channel(), monotonic_after(daemon_->patience()));
    if (!reply)
        return {};
    return std::move(reply->fired);
}

} // namespace evfd
