// ConnectionPool: all sessions of one client with one daemon.
//
// The main session owns what must outlive a call: subscriptions, temporary objects and holds. Short
// calls also use the main session, one call at a time. A call that can take long (Wait, Clear,
// Monitor) acquires a session of its own and releases it after the last reply; up to four idle
// sessions are kept for later calls.
//
// After enable_auto_resume() a thread watches the main session's connection and resumes the session
// after a restart of the daemon, even if the client makes no call. A client that only waits on
// descriptors needs the thread, because the daemon drops a session that is not resumed in time.
//
// Invariants:
//   - A session belongs to the user who began it: the daemon resumes it for no other user. When the
//     process changes its user, the main session moves to former_sessions_ and stays while
//     something belongs to it.
//   - After fork(2) the child uses no member that it inherited: the first caller in the child
//     replaces all members. The copied mutex can be locked and the copied containers can be half
//     changed, so the child overwrites the members without destroying them.
//   - The members declared below mutex_ are used only with mutex_ locked. No thread keeps mutex_
//     locked while it waits for the reply to a long call.
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

// The interval at which a wait without a deadline checks that the daemon still answers.
inline constexpr nanoseconds default_keepalive_interval = std::chrono::seconds{30};
// The maximum number of former sessions. If this process changes its user while something belongs
// to the main session, the main session becomes a former session. A former session keeps a
// connection open.
inline constexpr std::size_t max_former_sessions = 64;

class ConnectionPool {
public:
    ConnectionPool(Address address, nanoseconds timeout,
                   nanoseconds keepalive_interval = default_keepalive_interval);
    ~ConnectionPool();
    // A pool cannot be copied or moved, because its sessions point to address_.
    ConnectionPool(const ConnectionPool&) = delete;
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

    // Sends a one-way call, and repeats it after a restart of the daemon. The handle that the call
    // names can belong to any session, so the call is sent in the main session and in every former
    // session.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        const auto locked = lock();
        main_session_->send_oneway(request);
        for (auto& session : former_sessions_)
            session.send_oneway(request);
        update_handles(request, typename Request::Reply{});
    }

    // Sends a one-way call at most once, in the main session. See Session::send_once().
    template <Message Request>
    Expected<void> send_once(const Request& request)
    {
        const auto locked = lock();
        if (const auto switched = switch_to_current_user(); !switched)
            return switched;
        return main_session_->send_once(Connection::encode_call(request, ReplyMode::none));
    }

    // Starts the thread that resumes the main session after a restart of the daemon. Called when
    // the session gets a subscription, a temporary object or a hold. All three must continue even
    // if the client makes no further call.
    void enable_auto_resume();

    // Executes the call Wait in a separate session. The timeout of the request is the time that is
    // left until the deadline. Without a deadline, this function checks from time to time that the
    // daemon still answers.
    Expected<std::vector<protocol::Fired>> wait(protocol::Wait request, Deadline deadline);

    // Executes the call Clear in a separate session, because Clear can take long.
    Expected<void> clear(const protocol::Clear& request);

    // Returns `fired` if it matches the request, else a protocol error. If the request requires all
    // items, `fired` must have all items in the order of the request. If the request requires any
    // item, `fired` must have exactly one item.
    static Expected<std::vector<protocol::Fired>>
    validate_fired(const protocol::Wait& request, std::vector<protocol::Fired> fired);

    // Like wait(), but the consumed token becomes a held token. `holder` is this process or the
    // main session. A main session that holds a token is resumed automatically. Returns the
    // identifier of the hold.
    Expected<std::string> hold(protocol::Wait request, Holder holder, Deadline deadline);
    // Ends the main session, and returns after the daemon has ended it. See Session::finish().
    Expected<void> finish();

    // Returns a session for a call that can take long. The session is possibly not connected. The
    // caller passes it to release() after the last reply.
    Expected<Session> acquire();
    // Like acquire(), but connects the session.
    Expected<Session> acquire_connected();
    void release(Session session);
    nanoseconds timeout() const { return timeout_; }
    const Address& address() const { return address_; }

private:
    Expected<protocol::Wait::Reply> wait_on(Session& session, protocol::Wait request,
                                            Deadline deadline);
    // Like Session::receive(), but the pool's timeout starts only when the reply begins to arrive.
    // Until that moment no timeout is needed, because the daemon knows `deadline` and ends the call
    // at that time.
    template <Message Request>
    Expected<typename Request::Reply> receive_when_ready(Connection& connection, Deadline deadline);
    Expected<void> await_reply(Connection& connection, Deadline deadline);
    std::unique_lock<std::mutex> lock();
    Expected<void> switch_to_current_user();
    // Each update_handles() records the effect of one type of completed call. The main session gets
    // the handles that the call created. All sessions lose the handles that the call ended. This
    // first overload is for calls that neither create nor end a handle.
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
        int fd; // The watched descriptor, or -1, which poll(2) ignores.
        int pause_ms;
    };
    std::optional<Watch> check_main_session(MonotonicTime& fast_retry_until);

    Address address_;
    nanoseconds timeout_;
    nanoseconds keepalive_interval_;
    std::mutex mutex_;
    // The fork_generation() of the process that initialized the members. While a child of fork(2)
    // replaces the members, this is the negative of the child's fork_generation().
    std::atomic<int> fork_generation_ = fork_generation();
    std::optional<Session> main_session_;
    std::vector<Session> idle_sessions_;
    // The main sessions of the previous users of this process. Objects, subscriptions or holds
    // still belong to each of these sessions.
    std::vector<Session> former_sessions_;

    // A duplicate of the main session's socket. The auto-resume thread watches this descriptor,
    // which reports POLLHUP when the daemon exits.
    CloseOnForkFd watched_socket_;
    UniqueFd wakeup_fd_; // An eventfd that wakes the auto-resume thread.
    // True while there is no session to watch. During that time, the auto-resume thread sleeps
    // until wakeup_fd_ is set.
    bool is_idle_ = false;
    bool stop_requested_ = false;
    std::thread thread_;
};

} // namespace evfd
