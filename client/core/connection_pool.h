// The daemon from here: one line for what belongs to it (descriptors that follow a name, objects
// that last as long as it does), further ones for calls that take their time.
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

// How often a daemon is asked for one during a wait that has no end.
inline constexpr nanoseconds default_keepalive_interval = std::chrono::seconds{30};
// Of one client, for users that the process was before. Each has a connection.
inline constexpr std::size_t max_former_sessions = 64;

class ConnectionPool {
public:
    ConnectionPool(Address address, nanoseconds timeout,
                   nanoseconds keepalive_interval = default_keepalive_interval);
    ~ConnectionPool();
    ConnectionPool(const ConnectionPool&) = delete; // Pinned: lines have the address of ours.
    ConnectionPool& operator=(const ConnectionPool&) = delete;

    // One call on the main line.
    template <Message Request>
    Expected<typename Request::Reply> call(const Request& request)
    {
        const auto holding = lock();
        if (const auto is_theirs = switch_user(Credentials::now()); !is_theirs)
            return std::unexpected(is_theirs.error());
        auto reply = main_session_->call(request);
        if (reply)
            update_handles(request, *reply);
        return reply;
    }

    // A call about what belongs to a main line, whichever; its answer is not awaited.
    template <Message Request>
    void send_oneway(const Request& request)
    {
        const auto holding = lock();
        main_session_->send_oneway(request);
        for (auto& line : former_sessions_)
            line.send_oneway(request);
        update_handles(request, typename Request::Reply{});
    }

    // Something belongs to the main line that must go on even if nobody calls anything: from now
    // on, when the daemon is killed, a thread of ours takes the line up again.
    void enable_auto_resume();

    // Wait, on a line of its own. Without a deadline the daemon is asked for a sign of life now and
    // then. The request's timeout is set here.
    Expected<std::vector<protocol::Fired>> wait(protocol::Wait request, Deadline deadline);

    // Clear, which may take long: on a line of its own, as wait().
    Expected<void> clear(const protocol::Clear& request);

    // The answer, unless it is empty or tells of something else than was asked for.
    static Expected<std::vector<protocol::Fired>>
    validate_fired(const protocol::Wait& request, std::vector<protocol::Fired> fired);

    // As wait(), and what it takes is held, on the main line: by this process or by the line's
    // session, which is looked after from now on. By what the daemon calls the hold.
    Expected<std::string> hold(protocol::Wait request, Holder holder, Deadline deadline);
    // The main line's session ends; returns when the daemon is done with that. See Line::finish().
    Expected<void> finish();

    // A line for a call that may take long, as it was left; give it back when the last reply is
    // there.
    Expected<Session> acquire();
    // The same, connected.
    Expected<Session> acquire_connected();
    void release(Session session);
    nanoseconds timeout() const { return timeout_; }
    const Address& address() const { return address_; }

private:
    Expected<protocol::Wait::Reply> wait_on(Session& line, protocol::Wait request,
                                            Deadline deadline);
    // As Line::receive(), however late it comes; of a deadline the daemon knows.
    template <Message Request>
    Expected<typename Request::Reply> receive_when_ready(Connection& channel, Deadline deadline);
    Expected<void> await_reply(Connection& channel, Deadline deadline);
    std::unique_lock<std::mutex> lock();
    Expected<void> switch_user(const Credentials& credentials);
    // What a call that was done adds to what belongs to the main line, or takes away from any.
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
        int fd; // Passed over by poll(2) if it is less than 0.
        int pause_ms;
    };
    std::optional<Watch> check_main_session(MonotonicTime& fast_retry_until);

    Address address_;
    nanoseconds timeout_;
    nanoseconds keepalive_interval_;
    std::mutex mutex_;
    // Whose all this is: a child's parent goes on using its own. Less than 0: being made the
    // child's.
    std::atomic<int> fork_generation_ = fork_generation();
    std::optional<Session> main_session_;
    std::vector<Session> idle_sessions_;
    std::vector<Session>
        former_sessions_; // Main ones of who this process was, to which something belongs.
    // The thread's.
    CloseOnForkFd
        watched_socket_;   // A duplicate of the main line's: readable when the daemon is gone.
    UniqueFd wakeup_fd_;   // An eventfd; set: there is news for it.
    bool is_idle_ = false; // To look after: it sleeps until the bell rings.
    bool stop_requested_ = false;
    std::thread thread_;
};

} // namespace evfd
