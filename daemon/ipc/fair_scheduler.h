// Whose turn it is. In one turn of the loop the connections of one user together have so many calls
// answered, or so much time, and those of all users together so much time. The rest of what they
// ask comes later: first of the user who has had least of late, and of one user in the order in
// which its connections came.
#pragma once

#include "common/clock.h"
#include "daemon/access/quota.h"
#include "daemon/base/event_loop.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace evfd::daemon {

// For so long one user's connections are served in one turn, with as few calls as it may be.
inline constexpr std::chrono::milliseconds max_user_time{1};
// For so long those of all users.
inline constexpr std::chrono::milliseconds max_total_time{2};
// For so long one user's while others wait; then it is the next one's turn.
inline constexpr std::chrono::microseconds max_contended_time{100};

// Of a turn, what is left for one user, or what it used.
struct Budget {
    std::int64_t calls;
    nanoseconds time;

    bool is_exhausted() const { return calls <= 0 || time <= nanoseconds{0}; }
};

class FairScheduler {
public:
    using Serve = std::function<void(std::uint64_t connection)>;

    // `serve` is called for each connection whose turn it is.
    FairScheduler(EventLoop& loop, const Quota& quota, Serve serve);
    FairScheduler(const FairScheduler&) = delete; // Pinned: what is put off has its address.
    FairScheduler& operator=(const FairScheduler&) = delete;

    // The connection has something to do: in this turn of the loop, or in one of the next.
    void enqueue(uid_t uid, std::uint64_t connection);
    // Whether others wait, or the share is used up.
    bool is_throttled(uid_t uid);
    Budget budget_for(uid_t uid);
    // So much was done for the user's connections.
    void charge(uid_t uid, const Budget& spent);

private:
    // Before the first, so that the first share is a whole one.
    static constexpr std::uint64_t never = ~std::uint64_t{0};
    static constexpr std::uint64_t max_debt = 1'000; // In turns.

    struct User {
        std::uint64_t iteration = never; // Of the loop, that the share is for.
        Budget budget{};
        nanoseconds used_time{0}; // In all; who comes back has had nearly as much as the others.
        std::deque<std::uint64_t> waiting{}; // Connections.
        bool is_queued = false;              // Or is being served, and then in line again.
    };
    // In the line: who has had least, and then who came first.
    using QueueKey = std::tuple<nanoseconds, std::uint64_t, uid_t>;

    User& user(uid_t account);
    nanoseconds total_time_left();
    void queue_user(uid_t account, User& user);
    void serve_all();
    bool serve(User& user, uid_t account); // Whether there was anything to serve.
    void schedule();
    void prune_users();

    EventLoop& loop_;
    const Quota& quota_;
    Serve serve_;
    std::map<uid_t, User> users_;    // By account: who has been here of late.
    std::set<QueueKey> queue_;       // Accounts that wait.
    std::uint64_t last_arrival_ = 0; // That were ever taken in it.
    nanoseconds min_used_time_{0};   // By whoever was served last.
    std::uint64_t total_iteration_ = never;
    nanoseconds total_time_left_{0}; // In that turn.
    std::uint64_t pruned_in_ = 0;    // The turn in which users were forgotten last.
    bool is_scheduled_ = false;      // serve_all(), in this turn or the next.
};

} // namespace evfd::daemon
