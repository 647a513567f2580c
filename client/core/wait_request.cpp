#include "client/core/wait_request.h"

#include <utility>

namespace evfd {

Try<PendingWait> PendingWait::begin(Daemon& daemon, protocol::Wait request, Deadline deadline,
                                    Begun begun)
{
    auto line = daemon.borrow();
    if (!line)
        return std::unexpected(std::move(line.error()));
    PendingWait pending{daemon, *std::move(line), std::move(request), deadline, begun};
    if (const auto asked = pending.ask_again(); !asked)
        return std::unexpected(asked.error());
    return pending;
}

// A daemon that is killed before it says that it waits is asked again.
Try<void> PendingWait::ask_again()
{
    const auto give_up = monotonic_after(daemon_->patience());
    while (true) {
        auto asked = ask();
        if (asked || asked.error().code != ErrorCode::interrupted || monotonic_now() > give_up)
            return asked;
    }
}

Try<void> PendingWait::ask()
{
    if (const auto connected = line_.connect(); !connected)
        return connected;
    if (deadline_)
        request_.timeout = left_until(*deadline_);
    auto& channel = line_.channel();
    const auto patience = monotonic_after(daemon_->patience());
    if (begun_ == Begun::probably)
        return channel.send(request_, patience);
    if (const auto sent = channel.send(request_, patience, Answers::many); !sent)
        return sent;
    auto first = channel.receive<protocol::Wait>(patience);
    if (!first)
        return std::unexpected(std::move(first.error()));
    if (first->continues)
        return {};
    auto fired = Daemon::checked(request_, std::move(first->reply.fired));
    if (!fired)
        return std::unexpected(std::move(fired.error()));
    early_ = *std::move(fired); // It had the answer from before.
    return {};
}

Try<PendingWait::Fired> PendingWait::finish()
{
    auto reply = early_ ? Try<protocol::Wait::Reply>{{*std::exchange(early_, {})}}
                        : Line::receive<protocol::Wait>(line_.channel(),
                                                        monotonic_after(daemon_->patience()));
    if (line_.is_connected()) {
        line_.note_answer(true);
        daemon_->give_back(std::move(line_));
    }
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return Daemon::checked(request_, std::move(reply->fired));
}

// Once we hung up, the daemon cannot send its answer and puts back what it took; an answer that was
// sent before is there to be read.
std::optional<PendingWait::Fired> PendingWait::call_off()
{
    if (early_)
        return std::exchange(early_, {});
    line_.channel().hang_up();
    auto reply =
        Line::receive<protocol::Wait>(line_.channel(), monotonic_after(daemon_->patience()));
    auto fired = reply ? Daemon::checked(request_, std::move(reply->fired))
                       : Try<Fired>{std::unexpected(std::move(reply.error()))};
    return fired ? std::optional{*std::move(fired)} : std::nullopt;
}

} // namespace evfd
