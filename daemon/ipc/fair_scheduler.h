// Divides the daemon's time among users.
//
// In one iteration of the loop, the connections of one user together may use a budget: a number of
// calls and an amount of time, shorter while others are queued. All users together have a total
// time, so that timers and new connections are served too. A connection with work left is enqueued
// and served later. Users are served in the order of the time they have used so far, the least
// first; the connections of one user are served in the order in which they were enqueued.
//
// A budget ends by the wall clock, but a user pays for processor time alone (see CpuMeter), so a
// daemon that was interrupted charges nobody for it. A single call may take longer than its budget.
// The excess is a debt: the user's next budgets are smaller, or zero, until the debt is paid, for
// at most max_debt_iterations. A user that returns after a pause is treated as having used almost
// as much as the others, so that pauses do not accumulate credit. Users that have not been served
// for as many iterations are forgotten.
//
// A user here is an account (see Quota): all uids of a range in /etc/subuid are one user.
//
// Invariants: a user is in queue_ exactly if is_queued and not being served. Even if the total time
// is used up, an iteration serves one connection of a user that has budget left, so work
// progresses.
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

// The rest of a user's budget in an iteration, or the part that was used.
struct Budget {
    std::int64_t calls;
    nanoseconds time;

    bool is_exhausted() const { return calls <= 0 || time <= nanoseconds{0}; }
};

class FairScheduler {
public:
    using Serve = std::function<void(std::uint64_t connection)>;

    // `serve` is called for each connection when it is its turn.
    FairScheduler(EventLoop& loop, const Quota& quota, Serve serve);
    FairScheduler(const FairScheduler&) = delete; // Pinned: deferred work holds its address.
    FairScheduler& operator=(const FairScheduler&) = delete;

    // The connection has work; it is served in this iteration or a later one.
    void enqueue(uid_t uid, std::uint64_t connection);
    // Returns whether other users are queued, or the budget is exhausted.
    bool is_throttled(uid_t uid);
    Budget budget_for(uid_t uid);
    // Charges the user for what its connections used.
    void charge(uid_t uid, const Budget& spent);
    // A turn of a connection begins.
    void begin_turn(MonotonicTime now) { meter_.begin_turn(now); }
    // Charges the user for the processor time of a turn that lasted for `wall_time`. The iteration
    // is charged for all of it, because timers and new clients waited so long.
    void charge_turn(uid_t uid, std::int64_t calls, nanoseconds wall_time)
    {
        const auto cpu_time = meter_.cpu_time_of(wall_time);
        charge(uid, {calls, cpu_time});
        total_time_left_ -= wall_time - cpu_time;
    }

private:
    // Before the first iteration, so that the first budget is a whole one.
    static constexpr std::uint64_t never = ~std::uint64_t{0};

    struct User {
        std::uint64_t iteration = never; // The iteration of the loop that the budget is for.
        Budget budget{};
        // In total, but a user that returns starts with almost as much as the others.
        nanoseconds used_time{0};
        std::deque<std::uint64_t> waiting{}; // Connections to be served.
        bool is_queued = false;              // Also true while its connections are being served.
    };
    // Orders by used time, then by arrival.
    using QueueKey = std::tuple<nanoseconds, std::uint64_t, uid_t>;

    User& user(uid_t account);
    nanoseconds total_time_left();
    void queue_user(uid_t account, User& user);
    void serve_all();
    bool serve(User& user, uid_t account); // Returns whether there was a connection to serve.
    void schedule();
    void prune_users();

    EventLoop& loop_;
    const Quota& quota_;
    Serve serve_;
    CpuMeter meter_;
    std::map<uid_t, User> users_;    // Users that were served recently, by account.
    std::set<QueueKey> queue_;       // Accounts with work, in the order in which they are served.
    std::uint64_t last_arrival_ = 0; // The number of arrivals so far.
    nanoseconds min_used_time_{0};   // The used time of the user that was served last.
    std::uint64_t total_iteration_ = never;
    nanoseconds total_time_left_{0}; // The rest of the total time in that iteration.
    std::uint64_t pruned_in_ = 0;    // The iteration in which users were forgotten last.
    bool is_scheduled_ = false;      // serve_all() runs in this iteration or the next.
};

} // namespace evfd::daemon
