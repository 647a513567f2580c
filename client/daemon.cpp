#include "client/daemon.h"

#include <poll.h>

#include <chrono>

namespace evfd {

namespace {

constexpr nanoseconds sign_of_life = std::chrono::seconds{30}; // How often it is asked for.
constexpr int reconnect_pause_ms = 20;
constexpr std::size_t max_idle_channels = 4;

} // namespace

void Daemon::forget_if_forked()
{
    if (pid_ == ::getpid())
        return;
    main_.reset();
    idle_.clear();
    pid_ = ::getpid();
}

// At first someone must be there. A daemon that was there is being restarted: that takes a moment.
Try<Channel> Daemon::connect()
{
    const auto give_up = monotonic_after(patience_);
    while (true) {
        auto socket = connect_to(address_);
        if (socket) {
            was_connected_ = true;
            return Channel{*std::move(socket)};
        }
        if (!was_connected_ || monotonic_now() >= give_up)
            return std::unexpected(socket.error());
        ::poll(nullptr, 0, reconnect_pause_ms);
    }
}

Try<void> Daemon::connect_main()
{
    forget_if_forked();
    if (main_ && main_->is_usable())
        return {};
    main_.reset();
    auto channel = connect();
    if (!channel)
        return std::unexpected(channel.error());
    main_.emplace(*std::move(channel));
    return {};
}

Try<std::vector<protocol::Fired>> Daemon::wait(protocol::Wait request, Deadline deadline)
{
    while (true) {
        auto channel = borrow();
        if (!channel)
            return std::unexpected(channel.error());
        if (deadline)
            request.timeout = left_until(*deadline);
        const auto sent = channel->send(request, monotonic_after(patience_));
        auto fired = sent ? wait_on(*channel, deadline) : std::unexpected(sent.error());
        const bool is_lost = !channel->is_usable();
        give_back(*std::move(channel));
        if (fired || !is_lost || fired.error().code != ErrorCode::interrupted)
            return fired;
        ::poll(nullptr, 0, reconnect_pause_ms);
    }
}

// The daemon answers when the time is over, if not before; a stuck one is found out all the same.
Try<std::vector<protocol::Fired>> Daemon::wait_on(Channel& channel, Deadline deadline)
{
    while (true) {
        const auto look = deadline ? later(*deadline, patience_) : monotonic_after(sign_of_life);
        const auto has_news = channel.has_news_by(look);
        if (!has_news)
            return std::unexpected(has_news.error());
        if (*has_news || deadline) {
            auto received = channel.receive<protocol::Wait>(monotonic_after(patience_));
            if (!received)
                return std::unexpected(received.error());
            return std::move(received->reply.fired);
        }
        if (const auto alive = call(protocol::GetInfo{}); !alive)
            return std::unexpected(alive.error());
    }
}

Try<Channel> Daemon::borrow()
{
    const std::lock_guard lock{mutex_};
    forget_if_forked();
    while (!idle_.empty()) {
        auto channel = std::move(idle_.back());
        idle_.pop_back();
        const auto is_closed = channel.has_news_by(monotonic_now()); // Nothing else can come on it.
        if (is_closed && !*is_closed)
            return channel;
    }
    return connect();
}

void Daemon::give_back(Channel channel)
{
    const std::lock_guard lock{mutex_};
    forget_if_forked();
    if (channel.is_usable() && idle_.size() < max_idle_channels)
        idle_.push_back(std::move(channel));
}

} // namespace evfd
