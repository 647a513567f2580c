#include "client/core/connection_pool.h"

#include "common/eventfd.h"
#include "common/result.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>

namespace evfd {

namespace {

constexpr std::size_t max_idle_sessions = 4;
// How long the thread waits between attempts to reach a daemon that is gone for long.
constexpr int slow_retry_ms = 1'000;

Error too_many_former_users()
{
    return {.code = ErrorCode::refused,
            .message = fmt::format("a client keeps what was opened and made as {} former users at "
                                   "most; close some of it, or use a client for each user",
                                   max_former_sessions),
            .is_limit = true};
}

} // namespace

ConnectionPool::ConnectionPool(Address address, nanoseconds timeout, nanoseconds keepalive_interval)
    : address_{std::move(address)}, timeout_{timeout}, keepalive_interval_{keepalive_interval}
{
    main_session_.emplace(address_, timeout_);
}

ConnectionPool::~ConnectionPool()
{
    if (fork_generation_ != fork_generation())
        abandon_inherited();
    if (!thread_.joinable())
        return;
    {
        const auto holding = lock();
        stop_requested_ = true;
    }
    (void)add(wakeup_fd_, 1);
    thread_.join();
}

// Our thread may have held the mutex while the program forked: in the child nobody would let go of
// it. The first one there who comes makes all anew.
std::unique_lock<std::mutex> ConnectionPool::lock()
{
    const auto ours = fork_generation();
    auto owner = fork_generation_.load();
    if (owner != ours && owner != -ours && fork_generation_.compare_exchange_strong(owner, -ours)) {
        reset_after_fork();
        fork_generation_ = ours;
    }
    while (fork_generation_ != ours)
        std::this_thread::yield();
    return std::unique_lock{mutex_};
}

// The main line is one of that user from now on; the one before becomes a former one if something
// belongs to it. The daemon lets nobody take up another user's session.
Expected<void> ConnectionPool::switch_user(const Credentials& credentials)
{
    std::erase_if(idle_sessions_,
                  [&](const Session& line) { return !line.matches_user(credentials); });
    if (main_session_->matches_user(credentials))
        return {};
    const auto known = std::ranges::find_if(
        former_sessions_, [&](const Session& line) { return line.matches_user(credentials); });
    Session next{address_, timeout_, main_session_->was_connected()};
    const bool is_kept = !main_session_->handles().is_empty();
    if (known != former_sessions_.end()) {
        next = std::move(*known);
        former_sessions_.erase(known);
    } else if (is_kept && former_sessions_.size() >= max_former_sessions)
        return std::unexpected(too_many_former_users());
    if (is_kept)
        former_sessions_.push_back(*std::move(main_session_));
    else
        main_session_->end();
    main_session_.emplace(std::move(next));
    return {};
}

void ConnectionPool::update_handles(const protocol::CreateEvent& request,
                                    const protocol::CreateEvent::Reply& reply)
{
    if (request.lifetime == Lifetime::connection && reply.created)
        main_session_->handles().add_object(request.name);
}

void ConnectionPool::update_handles(const protocol::Arm& request, const protocol::Arm::Reply& reply)
{
    if (request.lifetime == Lifetime::connection && reply.created)
        main_session_->handles().add_object(request.name);
}

void ConnectionPool::update_handles(const protocol::Open& /*request*/,
                                    const protocol::Open::Reply& reply)
{
    for (const auto& one : reply.objects)
        if (one.subscription)
            main_session_->handles().add_subscription(*one.subscription);
}

// A user may delete what belongs to the session of another one that it was.
void ConnectionPool::update_handles(const protocol::Delete& request,
                                    const protocol::Delete::Reply& /*reply*/)
{
    const auto take = [&](Session& line) {
        for (const auto& name : request.names.list)
            line.handles().remove_object(name);
    };
    take(*main_session_);
    std::ranges::for_each(former_sessions_, take);
    end_unused_sessions();
}

void ConnectionPool::update_handles(const protocol::Unsubscribe& request,
                                    const protocol::Unsubscribe::Reply& /*reply*/)
{
    main_session_->handles().remove_subscription(request.subscription);
    for (auto& line : former_sessions_)
        line.handles().remove_subscription(request.subscription);
    end_unused_sessions();
}

// Former ones to which nothing belongs any more.
void ConnectionPool::end_unused_sessions()
{
    std::erase_if(former_sessions_, [](Session& line) {
        const bool is_needless = line.handles().is_empty();
        if (is_needless)
            line.end();
        return is_needless;
    });
}

void ConnectionPool::reset_after_fork()
{
    abandon_inherited();
    main_session_.emplace(address_, timeout_);
}

// Of all this we have a memory only, which other threads may have been in the midst of when the
// program forked: nothing of it is given back. The connections are closed already (CloseOnForkFd).
void ConnectionPool::abandon_inherited() noexcept
{
    std::construct_at(&mutex_);
    std::construct_at(&main_session_);
    std::construct_at(&idle_sessions_);
    std::construct_at(&former_sessions_);
    std::construct_at(&watched_socket_);
    std::construct_at(&thread_); // It is not here to be joined or detached.
    wakeup_fd_ = {};
    is_idle_ = false;
    stop_requested_ = false;
}

// Waiting.

Expected<std::vector<protocol::Fired>> ConnectionPool::wait(protocol::Wait request,
                                                            Deadline deadline)
{
    auto line = acquire();
    if (!line)
        return std::unexpected(std::move(line.error()));
    auto reply = wait_on(*line, std::move(request), deadline);
    release(*std::move(line));
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->fired);
}

Expected<std::vector<protocol::Fired>>
ConnectionPool::validate_fired(const protocol::Wait& request, std::vector<protocol::Fired> fired)
{
    const auto was_asked_for = [&](const protocol::Fired& one) {
        return std::ranges::find(request.names.list, one.name) != request.names.list.end();
    };
    if (fired.empty() || !std::ranges::all_of(fired, was_asked_for))
        return std::unexpected(Connection::protocol_error("it is not about what was waited for"));
    return fired;
}

// On a line of its own until it is over, for the main one has to ask for the sign of life.
Expected<std::string> ConnectionPool::hold(protocol::Wait request, Holder holder, Deadline deadline)
{
    request.hold = true;
    request.holder = holder;
    auto line = acquire();
    if (!line)
        return std::unexpected(std::move(line.error()));
    auto reply = wait_on(*line, std::move(request), deadline);
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    {
        const auto holding = lock();
        main_session_.emplace(*std::move(line));
        if (holder == Holder::session)
            main_session_->handles().pin();
    }
    if (holder == Holder::session)
        enable_auto_resume();
    if (!reply->hold)
        return std::unexpected(
            Connection::protocol_error("it does not say what it calls the hold"));
    return *std::move(reply->hold);
}

Expected<void> ConnectionPool::finish()
{
    const auto holding = lock();
    return main_session_->finish();
}

Expected<protocol::Wait::Reply> ConnectionPool::wait_on(Session& line, protocol::Wait request,
                                                        Deadline deadline)
{
    const auto with_time_left = [&] {
        if (deadline)
            request.timeout = time_until(*deadline);
        return request;
    };
    auto reply = line.call_with<protocol::Wait>(with_time_left, [&](Connection& channel) {
        return receive_when_ready<protocol::Wait>(channel, deadline);
    });
    if (!reply)
        return reply;
    auto fired = validate_fired(request, std::move(reply->fired));
    if (!fired)
        return std::unexpected(std::move(fired.error()));
    reply->fired = *std::move(fired);
    return reply;
}

Expected<void> ConnectionPool::clear(const protocol::Clear& request)
{
    auto line = acquire();
    if (!line)
        return std::unexpected(std::move(line.error()));
    const auto cleared = line->call_with<protocol::Clear>(
        [&] { return request; },
        [&](Connection& channel) { return receive_when_ready<protocol::Clear>(channel, {}); });
    release(*std::move(line));
    return cleared ? Expected<void>{} : std::unexpected(cleared.error());
}

template <Message Request>
Expected<typename Request::Reply> ConnectionPool::receive_when_ready(Connection& channel,
                                                                     Deadline deadline)
{
    if (const auto there = await_reply(channel, deadline); !there)
        return std::unexpected(there.error());
    return Session::receive<Request>(channel, monotonic_deadline(timeout_));
}

// The daemon answers when the time is over, if not before; a stuck one is found out all the same.
Expected<void> ConnectionPool::await_reply(Connection& channel, Deadline deadline)
{
    while (true) {
        const auto look = deadline ? add_saturating(*deadline, timeout_)
                                   : monotonic_deadline(keepalive_interval_);
        const auto has_news = channel.wait_readable(look);
        if (!has_news)
            return std::unexpected(has_news.error());
        if (*has_news || deadline)
            return {};
        if (auto alive = call(protocol::GetInfo{}); !alive) // The answer may still come.
            return channel.fail(std::move(alive.error()));
    }
}

// Further lines.

Expected<Session> ConnectionPool::acquire()
{
    const auto holding = lock();
    if (const auto is_theirs = switch_user(Credentials::now()); !is_theirs)
        return std::unexpected(is_theirs.error());
    Session line{address_, timeout_, main_session_->was_connected()};
    if (!idle_sessions_.empty()) {
        line = std::move(idle_sessions_.back());
        idle_sessions_.pop_back();
    }
    return line;
}

Expected<Session> ConnectionPool::acquire_connected()
{
    auto line = acquire();
    if (!line)
        return line;
    if (const auto connected = line->connect(); !connected)
        return std::unexpected(connected.error());
    return line;
}

void ConnectionPool::release(Session session)
{
    const auto holding = lock();
    if (session.is_connected() && idle_sessions_.size() < max_idle_sessions)
        idle_sessions_.push_back(std::move(session));
}

// Looking after the main line.

void ConnectionPool::enable_auto_resume()
{
    const auto holding = lock();
    if (thread_.joinable()) {
        if (std::exchange(is_idle_, false))
            (void)add(wakeup_fd_, 1);
        return;
    }
    auto bell = make_eventfd(0, Counter::plain);
    if (!bell)
        return; // Then it is taken up with the next call.
    wakeup_fd_ = *std::move(bell);
    // Signals are for the threads of whoever uses us.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread{[this] { run_auto_resume(); }};
    } catch (const std::system_error&) { // There is none to be had: likewise.
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The number of what is readable when the daemon is gone, and how long to wait before the next
// look; nothing, if it is over.
std::optional<ConnectionPool::Watch>
ConnectionPool::check_main_session(MonotonicTime& fast_retry_until)
{
    constexpr int for_ever = -1;
    const std::lock_guard holding{mutex_};
    if (stop_requested_)
        return std::nullopt;
    const bool is_up = main_session_->resume_if_lost();
    is_idle_ = !main_session_->has_session();
    watched_socket_ = {};
    if (is_up && main_session_->is_connected()) {
        // The line may be connected anew meanwhile, and its number be another's.
        watched_socket_ = ForkGuard{}.adopt(
            UniqueFd{::fcntl(main_session_->connection().fd(), F_DUPFD_CLOEXEC, 0)});
        fast_retry_until = monotonic_deadline(timeout_);
    }
    if (watched_socket_ || is_idle_)
        return Watch{watched_socket_.get(), for_ever};
    return Watch{-1,
                 monotonic_now() < fast_retry_until ? address_.retry_interval_ms() : slow_retry_ms};
}

void ConnectionPool::run_auto_resume()
{
    MonotonicTime fast_retry_until{};
    while (true) {
        std::optional<Watch> watch = Watch{-1, slow_retry_ms};
        try {
            watch = check_main_session(fast_retry_until);
        } catch (const std::exception&) { // For want of memory: there may be some later.
        }
        if (!watch)
            return;
        std::array<pollfd, 2> wanted{pollfd{wakeup_fd_.get(), POLLIN, 0},
                                     pollfd{watch->fd, 0, 0}}; // POLLHUP comes.
        ::poll(wanted.data(), wanted.size(), watch->pause_ms);
        if ((wanted[0].revents & POLLIN) != 0)
            (void)take(wakeup_fd_);
    }
}

} // namespace evfd
