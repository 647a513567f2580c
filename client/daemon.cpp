#include "client/daemon.h"

#include "common/eventfd.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include <array>
#include <chrono>
#include <system_error>

namespace evfd {

namespace {

constexpr std::size_t max_idle_lines = 4;
// How long the thread waits between attempts to reach a daemon that is gone.
constexpr int fast_pause_ms = 5;
constexpr int slow_pause_ms = 1'000;

} // namespace

Daemon::Daemon(Address address, nanoseconds patience)
    : address_{std::move(address)}, patience_{patience}
{
    main_.emplace(address_, patience_);
}

Daemon::~Daemon()
{
    if (!thread_.joinable())
        return;
    if (pid_ != ::getpid()) { // It is our parent's; we have a memory of it only.
        thread_.detach();
        return;
    }
    (void)add(stop_, 1);
    thread_.join();
}

void Daemon::forget_if_forked()
{
    if (pid_ == ::getpid())
        return;
    main_.emplace(address_, patience_);
    idle_.clear();
    pid_ = ::getpid();
    if (thread_.joinable())
        thread_.detach();
}

// Waiting.

Try<std::vector<protocol::Fired>> Daemon::wait(protocol::Wait request, Deadline deadline)
{
    auto line = borrow();
    if (!line)
        return std::unexpected(line.error());
    const auto with_time_left = [&] {
        if (deadline)
            request.timeout = left_until(*deadline);
        return request;
    };
    auto reply = line->call_sending<protocol::Wait>(
        with_time_left, [&](Channel& channel) -> Try<protocol::Wait::Reply> {
            auto fired = wait_on(channel, deadline);
            if (!fired)
                return std::unexpected(std::move(fired.error()));
            return protocol::Wait::Reply{*std::move(fired)};
        });
    give_back(*std::move(line));
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->fired);
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
            auto reply = Line::receive<protocol::Wait>(channel, monotonic_after(patience_));
            if (!reply)
                return std::unexpected(reply.error());
            return std::move(reply->fired);
        }
        if (const auto alive = call(protocol::GetInfo{}); !alive)
            return std::unexpected(alive.error());
    }
}

// Further lines.

Try<Line> Daemon::borrow()
{
    const std::lock_guard lock{mutex_};
    forget_if_forked();
    Line line{address_, patience_, main_->was_connected()};
    if (!idle_.empty()) {
        line = std::move(idle_.back());
        idle_.pop_back();
    }
    if (const auto connected = line.connect(); !connected)
        return std::unexpected(connected.error());
    return line;
}

void Daemon::give_back(Line line)
{
    const std::lock_guard lock{mutex_};
    forget_if_forked();
    if (line.is_connected() && idle_.size() < max_idle_lines)
        idle_.push_back(std::move(line));
}

// Looking after the main line.

void Daemon::look_after()
{
    const std::lock_guard lock{mutex_};
    if (thread_.joinable())
        return;
    auto stop = make_eventfd(0, Counter::plain);
    if (!stop)
        return; // Then it is taken up with the next call.
    stop_ = *std::move(stop);
    // Signals are for the threads of whoever uses us.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread{[this] { look_after_main(); }};
    } catch (const std::system_error&) { // There is none to be had: likewise.
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Readable when the daemon is gone; nothing if the line is not connected.
UniqueFd Daemon::end_of_main()
{
    const std::lock_guard lock{mutex_};
    if (!main_->is_connected())
        return {};
    // The line may be connected anew meanwhile, and its number be another's.
    return UniqueFd{::fcntl(main_->channel().fd(), F_DUPFD_CLOEXEC, 0)};
}

bool Daemon::take_up_main()
{
    const std::lock_guard lock{mutex_};
    return main_->take_up_if_lost();
}

void Daemon::look_after_main()
{
    const auto give_up_hurry = [&] { return monotonic_after(patience_); };
    auto hurry_until = give_up_hurry();
    int pause_ms = -1; // Until there is something to be done.
    while (true) {
        const auto line = end_of_main();
        std::array<pollfd, 2> wanted{pollfd{stop_.get(), POLLIN, 0},
                                     pollfd{line ? line.get() : -1, 0, 0}}; // POLLHUP comes.
        if (::poll(wanted.data(), wanted.size(), line ? -1 : pause_ms) < 0)
            continue; // No signal comes here; whatever it was, it is looked at again.
        if ((wanted[0].revents & POLLIN) != 0)
            return;
        if (line)
            hurry_until = give_up_hurry();
        pause_ms = take_up_main() || monotonic_now() < hurry_until ? fast_pause_ms : slow_pause_ms;
    }
}

} // namespace evfd
