// Divides the daemon's time among users.
//
// In one iteration of the event loop, the connections of one user together are allowed to use a
// budget: a number of calls and an amount of time. The time is shorter while others are queued. All
// users together have a total time, so that timers and new connections are served too. A connection
// with work left is enqueued and served later. Users are served in the order of the time they have
// used so far, the least first. The connections of one user are served in the order in which they
// were enqueued.
//
// A budget ends by the wall clock, but a user pays for processor time alone (see CpuMeter), so no
// user is charged for the time in which the daemon was interrupted. A single call can take longer
// than its budget. The excess is a debt: the user's next budgets are smaller, or zero, until the
// debt is paid. A user that returns after a pause is treated as if it had used almost as much time
// as the others, so that pauses do not accumulate credit. The scheduler forgets a user, and the
// user's debt, after max_debt_iterations without work for the user.
//
// A user here is an account (see Quota): all uids of a range in /etc/subuid are one user.
//
// Invariants: a user is in queue_ exactly if is_queued is true and the user is not being served.
// Even if the total time is used up, an iteration serves one connection of a user that has budget
// left, so work progresses.
#pragma once

#include "common/clock.h"
#include "daemon/access/quota.h"
#include "daemon/base/event_loop.h"
#include "daemon/ipc/cpu_meter.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace evfd::daemon {

// A number of calls and an amount of time: what a user is still allowed to use in an iteration, or
// what a user has used.
struct Budget {
    std::int64_t calls;
    nanoseconds time;

    bool is_exhausted() const { return calls <= 0 || time <= nanoseconds{0}; }
};

class FairScheduler {
public:
    using Serve = std::function<void(std::uint64_t connection)>;

    // The scheduler calls `serve` with the id of each connection that is to be served.
    FairScheduler(EventLoop& loop, const Quota& quota, Serve serve);
    // Not movable, because deferred tasks have the address of the scheduler.
    FairScheduler(const FairScheduler&) = delete;

    // Enqueues a connection that has work. The connection is served in this iteration or in a later
    // one.
    void enqueue(uid_t uid, std::uint64_t connection);
    // Returns whether a connection of the user must wait in the queue. This is the case if users
    // are queued already, or if the total time or the user's budget is used up.
    bool is_throttled(uid_t uid);
    Budget budget_for(uid_t uid);
    // Charges the user for the calls and the time that its connections used.
    void charge(uid_t uid, const Budget& spent);
    // Must be called when the turn of a connection begins.
    void begin_turn(MonotonicTime now) { meter_.begin_turn(now); }
    // Charges the user for the processor time of a turn that lasted for `wall_time`. Subtracts the
    // whole `wall_time` from the time that is left for turns in this iteration, because timers and
    // new clients had to wait for that long.
    void charge_turn(uid_t uid, std::int64_t calls, nanoseconds wall_time)
    {
        const auto cpu_time = meter_.cpu_time_of(wall_time);
        charge(uid, {calls, cpu_time});
        total_time_left_ -= wall_time - cpu_time;
    }

private:
    // The iteration number of a user that was not served yet. No iteration has this number, so the
    // user gets a whole budget at the first use.
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    struct User {
        std::uint64_t iteration = never; // The iteration of the loop to which the budget belongs.
        Budget budget{};
        // The total time that the user has used. When the user returns after a pause, its used time
        // is raised to almost the used time of the other users.
        nanoseconds used_time{0};
        std::deque<std::uint64_t> waiting{}; // The ids of the connections to be served.
        // True while the account is in queue_ or its connections are being served.
        bool is_queued = false;
    };
    // The key of an account in the queue: the user's used time, the arrival number and the account.
    // The queue is ordered by used time and then by arrival.
    using QueueKey = std::tuple<nanoseconds, std::uint64_t, uid_t>;

    User& user(uid_t account);
    nanoseconds total_time_left();
    void queue_user(uid_t account, User& user);
    void serve_all();
    bool serve(User& user, uid_t account); // Returns whether a connection was served.
    void schedule();
    void prune_users();

    EventLoop& loop_;
    const Quota& quota_;
    Serve serve_;
    CpuMeter meter_;
    std::map<uid_t, User> users_; // The users that were served recently, by account.
    std::set<QueueKey> queue_; // The accounts with work, in the order in which they will be served.
    std::uint64_t last_arrival_ = 0; // The number of times that an account was put into queue_.
    // The highest used time of all users that were taken from the queue, or that were charged while
    // the queue was empty. When a user returns after a pause, its used time is raised to almost
    // this value.
    nanoseconds min_used_time_{0};
    std::uint64_t total_iteration_ = never;
    // The part of the total time that is left in the iteration total_iteration_.
    nanoseconds total_time_left_{0};
    std::uint64_t pruned_in_ = 0; // The last iteration in which prune_users() removed users.
    bool is_scheduled_ = false;   // True if serve_all() will run in this iteration or the next.
};

} // namespace evfd::daemon
