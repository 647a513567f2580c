// ConnectionPool: all sessions of one client with one daemon.
//
// The main session owns what must outlive a call: subscriptions, temporary objects and holds. Short
// calls use it as well, one at a time. A call that may take long (Wait, Clear, Monitor) acquires a
// session of its own and releases it after the last reply; up to four idle ones are kept for the
// next call.
//
// After enable_auto_resume() a thread watches the main session's connection and resumes the session
// after a restart of the daemon, even if the client makes no call. A client that only waits on
// descriptors needs that, because the daemon drops a session that is not resumed in time.
//
// What must hold:
//   - A session belongs to the user that began it: the daemon resumes it for no other. When the
//     process changes its user, the main session moves to former_sessions_ and stays while
//     something belongs to it.
//   - After fork(2) the child uses nothing of its parent's: the first caller there replaces all
//     members. The parent's mutex may be locked and its containers half changed, so they are
//     overwritten and not destroyed.
//   - Everything below mutex_ is used with mutex_ locked, but no thread waits for the reply to a
//     long call with it locked.
#pragma once

#include "client/core/address.h"
#include "client/core/close_on_fork_fd.h"
#include "client/core/credentials.h"
#include "client/core/session.h"
#include "common/unique_fd.h"
#include "evfd/error.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace evfd {

// Interval at which a wait without a deadline checks that the daemon still answers.
inline constexpr nanoseconds default_keepalive_interval = std::chrono::seconds{30};
// Limit of sessions of users that this process had before. Each has a connection.
inline constexpr std::size_t max_former_sessions = 64;

class ConnectionPool {
public:
    ConnectionPool(Address address, nanoseconds timeout,
                   nanoseconds keepalive_interval = default_keepalive_interval);
    ~ConnectionPool();
    ConnectionPool(const ConnectionPool&) = delete; // Pinned: sessions point to address_.
    ConnectionPool& operator=(const ConnectionPool&) = delete;

    // Executes one call on the main session.
    template <Message Request>
    Expected<typename Request::Reply> call(const Request& request)
    {
        const auto locked = lock();
        if (const auto switched = switch_to_current_user(); !switched)
            return std::unexpected(switched.error());
        auto reply = main_session_->call(request);
        if (reply)
            update_handles(request, *reply);
        return reply;
    }

    // Sends a call about the handles of any main session, and does not wait for a reply.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        const auto locked = lock();
        main_session_->send_oneway(request);
        for (auto& session : former_sessions_)
            session.send_oneway(request);
        update_handles(request, typename Request::Reply{});
    }

    // Starts the thread that resumes the main session after a restart of the daemon. Called when
    // something belongs to the session that must continue without further calls.
    void enable_auto_resume();

    // Executes Wait on a session of its own, and sets the request's timeout from the deadline.
    // Without a deadline it checks from time to time that the daemon still answers.
    Expected<std::vector<protocol::Fired>> wait(protocol::Wait request, Deadline deadline);

    // Executes Clear, which may take long, on a session of its own.
    Expected<void> clear(const protocol::Clear& request);

    // Returns `fired`. It is a protocol error unless it has all items of the request in their
    // order, or one of them if the request is for any.
    static Expected<std::vector<protocol::Fired>>
    validate_fired(const protocol::Wait& request, std::vector<protocol::Fired> fired);

    // Like wait(), and holds the consumed token: the holder is this process, or the main session,
    // which is resumed automatically from then on. Returns the identifier of the hold.
    Expected<std::string> hold(protocol::Wait request, Holder holder, Deadline deadline);
    // Ends the main session, and returns after the daemon has done so. See Session::finish().
    Expected<void> finish();

    // Returns a session for a call that may take long. It may be disconnected. The caller releases
    // it after the last reply.
    Expected<Session> acquire();
    // Like acquire(), and connects it.
    Expected<Session> acquire_connected();
    void release(Session session);
    nanoseconds timeout() const { return timeout_; }
    const Address& address() const { return address_; }

private:
    Expected<protocol::Wait::Reply> wait_on(Session& session, protocol::Wait request,
                                            Deadline deadline);
    // Like Session::receive(), without a limit on when the reply begins. The daemon knows the
    // deadline.
    template <Message Request>
    Expected<typename Request::Reply> receive_when_ready(Connection& connection, Deadline deadline);
    Expected<void> await_reply(Connection& connection, Deadline deadline);
    std::unique_lock<std::mutex> lock();
    Expected<void> switch_to_current_user();
    // Adds to the main session's handles what a completed call created, and removes from all
    // sessions what it ended.
    void update_handles(const auto& /*request*/, const auto& /*reply*/) {}
    void update_handles(const protocol::CreateEvent& request,
                        const protocol::CreateEvent::Reply& reply);
    void update_handles(const protocol::Arm& request, const protocol::Arm::Reply& reply);
    void update_handles(const protocol::Open& request, const protocol::Open::Reply& reply);
    void update_handles(const protocol::Delete& request, const protocol::Delete::Reply& reply);
    void update_handles(const protocol::Unsubscribe& request,
                        const protocol::Unsubscribe::Reply& reply);
    void end_unused_sessions();
    void reset_after_fork();
    void abandon_inherited() noexcept;
    void run_auto_resume();
    struct Watch {
        int fd; // -1 is ignored by poll(2).
        int pause_ms;
    };
    std::optional<Watch> check_main_session(MonotonicTime& fast_retry_until);

    Address address_;
    nanoseconds timeout_;
    nanoseconds keepalive_interval_;
    std::mutex mutex_;
    // The fork_generation() of the process that made the members. While a child replaces them, it
    // is minus the child's.
    std::atomic<int> fork_generation_ = fork_generation();
    std::optional<Session> main_session_;
    std::vector<Session> idle_sessions_;
    // Main sessions of earlier users of this process, to which something belongs.
    std::vector<Session> former_sessions_;

    // The auto-resume thread watches a duplicate of the main session's socket, which hangs up when
    // the daemon exits.
    CloseOnForkFd watched_socket_;
    UniqueFd wakeup_fd_; // An eventfd that wakes the thread.
    // There is no session to watch; the thread sleeps until wakeup_fd_ is set.
    bool is_idle_ = false;
    bool stop_requested_ = false;
    std::thread thread_;
};

} // namespace evfd
