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
#include <ranges>
#include <system_error>
#include <utility>

namespace evfd {

namespace {

constexpr std::size_t max_idle_sessions = 4;
// The time between two attempts of the auto-resume thread to reach a daemon that has been down for
// longer than the client's timeout.
constexpr int slow_retry_ms = 1'000;

Error too_many_former_users()
{
    return {.code = ErrorCode::refused,
            .message = fmt::format("a client keeps the objects of at most {} former users; close "
                                   "some of them, or use a client for each user",
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
        const auto locked = lock();
        stop_requested_ = true;
    }
    (void)add(wakeup_fd_, 1);
    thread_.join();
}

// Locks mutex_. In a child of fork(2), the first caller replaces all members before it locks
// mutex_. If a thread of the parent had locked mutex_ at the fork, the child's copy of mutex_ would
// stay locked forever.
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

// Replaces the main session if it belongs to another user than the current user, because the daemon
// resumes a session only for the user of the session. If objects, subscriptions or holds belong to
// the previous main session, that session moves to former_sessions_.
Expected<void> ConnectionPool::switch_to_current_user()
{
    if (main_session_->is_of_current_user())
        return {};
    const auto credentials = Credentials::now();
    std::erase_if(idle_sessions_,
                  [&](const Session& session) { return !session.matches_user(credentials); });
    if (main_session_->matches_user(credentials))
        return {};
    const auto known = std::ranges::find_if(former_sessions_, [&](const Session& session) {
        return session.matches_user(credentials);
    });
    Session next{address_, timeout_, main_session_->was_connected()};
    const bool is_in_use = !main_session_->handles().is_empty();
    if (known != former_sessions_.end()) {
        next = std::move(*known);
        former_sessions_.erase(known);
    } else if (is_in_use && former_sessions_.size() >= max_former_sessions)
        return std::unexpected(too_many_former_users());
    if (is_in_use)
        former_sessions_.push_back(*std::move(main_session_));
    else
        main_session_->end();
    main_session_.emplace(std::move(next));
    return {};
}

void ConnectionPool::update_handles(const protocol::CreateEvent& request,
                                    const protocol::CreateEvent::Reply& reply)
{
    if (request.lifetime == Lifetime::session && reply.created)
        main_session_->handles().add_object(request.name);
}

void ConnectionPool::update_handles(const protocol::Arm& request, const protocol::Arm::Reply& reply)
{
    if (request.lifetime == Lifetime::session && reply.created)
        main_session_->handles().add_object(request.name);
}

void ConnectionPool::update_handles(const protocol::Open& /*request*/,
                                    const protocol::Open::Reply& reply)
{
    for (const auto& one : reply.objects)
        if (one.subscription)
            main_session_->handles().add_subscription(*one.subscription);
}

// Removes the deleted objects from all sessions, because an object that the current user deletes
// can belong to the session of a former user.
void ConnectionPool::update_handles(const protocol::Delete& request,
                                    const protocol::Delete::Reply& /*reply*/)
{
    const auto take = [&](Session& session) {
        for (const auto& item : request.items.list)
            session.handles().remove_object(item.name);
    };
    take(*main_session_);
    std::ranges::for_each(former_sessions_, take);
    end_unused_sessions();
}

void ConnectionPool::update_handles(const protocol::Unsubscribe& request,
                                    const protocol::Unsubscribe::Reply& /*reply*/)
{
    main_session_->handles().remove_subscription(request.subscription);
    for (auto& session : former_sessions_)
        session.handles().remove_subscription(request.subscription);
    end_unused_sessions();
}

// Ends the former sessions that have no handles left.
void ConnectionPool::end_unused_sessions()
{
    std::erase_if(former_sessions_, [](Session& session) {
        const bool is_unused = session.handles().is_empty();
        if (is_unused)
            session.end();
        return is_unused;
    });
}

void ConnectionPool::reset_after_fork()
{
    abandon_inherited();
    main_session_.emplace(address_, timeout_);
}

// Overwrites the members in a child of fork(2) without destroying them, because other threads of
// the parent were possibly changing them at the moment of the fork. CloseOnForkFd has already
// closed the child's copies of the connections.
void ConnectionPool::abandon_inherited() noexcept
{
    std::construct_at(&mutex_);
    std::construct_at(&main_session_);
    std::construct_at(&idle_sessions_);
    std::construct_at(&former_sessions_);
    std::construct_at(&watched_socket_);
    std::construct_at(&thread_); // The thread does not exist in the child.
    wakeup_fd_ = {};
    is_idle_ = false;
    stop_requested_ = false;
}

// The following functions execute waits and other long calls.

Expected<std::vector<protocol::Fired>> ConnectionPool::wait(protocol::Wait request,
                                                            Deadline deadline)
{
    auto session = acquire();
    if (!session)
        return std::unexpected(std::move(session.error()));
    auto reply = wait_on(*session, std::move(request), deadline);
    release(*std::move(session));
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    return std::move(reply->fired);
}

Expected<std::vector<protocol::Fired>>
ConnectionPool::validate_fired(const protocol::Wait& request, std::vector<protocol::Fired> fired)
{
    const auto& items = request.items.list;
    const bool is_all = request.require.value_or(Require::all) == Require::all;
    const auto fits = [&](std::size_t position) {
        const auto& one = fired[position];
        const auto index = static_cast<std::size_t>(one.index);
        return one.index >= 0 && index < items.size() && items[index].name == one.name &&
               (!is_all || index == position);
    };
    const auto positions = std::views::iota(std::size_t{0}, fired.size());
    if (fired.size() != (is_all ? items.size() : 1) || !std::ranges::all_of(positions, fits))
        return std::unexpected(Connection::protocol_error("it does not match the request"));
    return fired;
}

// The wait runs on a session of its own, because the main session is needed meanwhile to check that
// the daemon answers. When the wait has succeeded, its session becomes the main session, because
// the hold can belong to that session.
Expected<std::string> ConnectionPool::hold(protocol::Wait request, Holder holder, Deadline deadline)
{
    request.hold = holder;
    auto session = acquire();
    if (!session)
        return std::unexpected(std::move(session.error()));
    auto reply = wait_on(*session, std::move(request), deadline);
    if (!reply)
        return std::unexpected(std::move(reply.error()));
    {
        const auto locked = lock();
        main_session_.emplace(*std::move(session));
        if (holder == Holder::session)
            main_session_->handles().pin();
    }
    if (holder == Holder::session)
        enable_auto_resume();
    if (!reply->hold)
        return std::unexpected(Connection::protocol_error("it has no identifier of the hold"));
    return *std::move(reply->hold);
}

Expected<void> ConnectionPool::finish()
{
    const auto locked = lock();
    return main_session_->finish();
}

Expected<protocol::Wait::Reply> ConnectionPool::wait_on(Session& session, protocol::Wait request,
                                                        Deadline deadline)
{
    const auto with_time_left = [&] {
        if (deadline)
            request.timeout = time_until(*deadline);
        return request;
    };
    auto reply = session.call_with<protocol::Wait>(with_time_left, [&](Connection& connection) {
        return receive_when_ready<protocol::Wait>(connection, deadline);
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
    auto session = acquire();
    if (!session)
        return std::unexpected(std::move(session.error()));
    const auto cleared = session->call_with<protocol::Clear>(
        [&] { return request; },
        [&](Connection& connection) {
            return receive_when_ready<protocol::Clear>(connection, {});
        });
    release(*std::move(session));
    return cleared ? Expected<void>{} : std::unexpected(cleared.error());
}

template <Message Request>
Expected<typename Request::Reply> ConnectionPool::receive_when_ready(Connection& connection,
                                                                     Deadline deadline)
{
    if (const auto ready = await_reply(connection, deadline); !ready)
        return std::unexpected(ready.error());
    return Session::receive<Request>(connection, monotonic_deadline(timeout_));
}

// Waits until the reply begins to arrive.
// If the call has a deadline, a running daemon replies at the deadline at the latest. This function
// waits `timeout_` longer, then returns even without a reply.
// If the call has no deadline, this function calls GetInfo at intervals, to check that the daemon
// still answers.
Expected<void> ConnectionPool::await_reply(Connection& connection, Deadline deadline)
{
    while (true) {
        const auto check_at = deadline ? add_saturating(*deadline, timeout_)
                                       : monotonic_deadline(keepalive_interval_);
        const auto is_readable = connection.wait_readable(check_at);
        if (!is_readable)
            return std::unexpected(is_readable.error());
        if (*is_readable || deadline)
            return {};
        // The connection of the long call becomes unusable, because the reply to that call can
        // still arrive.
        if (auto alive = call(protocol::GetInfo{}); !alive)
            return connection.fail(std::move(alive.error()));
    }
}

// The following functions provide sessions for long calls.

Expected<Session> ConnectionPool::acquire()
{
    const auto locked = lock();
    if (const auto switched = switch_to_current_user(); !switched)
        return std::unexpected(switched.error());
    Session session{address_, timeout_, main_session_->was_connected()};
    if (!idle_sessions_.empty()) {
        session = std::move(idle_sessions_.back());
        idle_sessions_.pop_back();
    }
    return session;
}

Expected<Session> ConnectionPool::acquire_connected()
{
    auto session = acquire();
    if (!session)
        return session;
    if (const auto connected = session->connect(); !connected)
        return std::unexpected(connected.error());
    return session;
}

void ConnectionPool::release(Session session)
{
    const auto locked = lock();
    // A session of a former user is not kept, because later calls cannot use it.
    if (session.is_connected() && session.has_user_of(*main_session_) &&
        idle_sessions_.size() < max_idle_sessions)
        idle_sessions_.push_back(std::move(session));
}

// The following functions resume the main session automatically.

void ConnectionPool::enable_auto_resume()
{
    const auto locked = lock();
    if (thread_.joinable()) {
        if (std::exchange(is_idle_, false))
            (void)add(wakeup_fd_, 1);
        return;
    }
    auto wakeup = make_eventfd(0, Counter::plain);
    if (!wakeup)
        return; // No thread is started, so the next call must resume the session.
    wakeup_fd_ = *std::move(wakeup);
    // Blocks all signals in the new thread, so that they are delivered only to the program's own
    // threads.
    sigset_t all;
    sigset_t previous;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &previous);
    try {
        thread_ = std::thread{[this] { run_auto_resume(); }};
    } catch (const std::system_error&) {
        // The thread could not be started, so the next call must resume the session.
    }
    ::pthread_sigmask(SIG_SETMASK, &previous, nullptr);
}

// Resumes the main session if necessary. Returns the descriptor to watch and the time until the
// next attempt. The descriptor reports POLLHUP when the daemon exits. The descriptor is -1 if the
// session has no connection. Returns nothing if the thread must end.
std::optional<ConnectionPool::Watch>
ConnectionPool::check_main_session(MonotonicTime& fast_retry_until)
{
    constexpr int no_timeout = -1;
    const std::lock_guard locked{mutex_};
    if (stop_requested_)
        return std::nullopt;
    const bool is_up = main_session_->resume_if_lost();
    is_idle_ = !main_session_->has_session();
    watched_socket_ = {};
    if (is_up && main_session_->is_connected()) {
        // The thread watches a duplicate, because the session can close its socket meanwhile, and
        // the number of a closed descriptor can be reused.
        watched_socket_ = ForkGuard{}.adopt(
            UniqueFd{::fcntl(main_session_->connection().fd(), F_DUPFD_CLOEXEC, 0)});
        fast_retry_until = monotonic_deadline(timeout_);
    }
    if (watched_socket_ || is_idle_)
        return Watch{watched_socket_.get(), no_timeout};
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
        } catch (const std::exception&) {
            // Memory ran out: the loop tries again after slow_retry_ms.
        }
        if (!watch)
            return;
        std::array<pollfd, 2> polled{pollfd{wakeup_fd_.get(), POLLIN, 0},
                                     pollfd{watch->fd, 0, 0}}; // poll(2) always reports POLLHUP.
        ::poll(polled.data(), polled.size(), watch->pause_ms);
        if ((polled[0].revents & POLLIN) != 0)
            (void)take(wakeup_fd_);
    }
}

} // namespace evfd
