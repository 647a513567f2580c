// Whose turn it is. In one turn of the loop the connections of one user together have so many calls
// answered, or so much time, and those of all users together so much time. The rest of what they
// ask comes later: first of the user who has had least of late, and of one user in the order in
// which its connections came.
#pragma once

#include "common/clock.h"
#include "daemon/base/event_loop.h"
#include "daemon/access/quota.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace evfd::daemon {

// For so long one user's connections are served in one turn, with as few calls as it may be.
inline constexpr std::chrono::milliseconds max_turn{1};
// For so long those of all users.
inline constexpr std::chrono::milliseconds max_turn_of_all{2};
// For so long one user's while others wait; then it is the next one's turn.
inline constexpr std::chrono::microseconds max_turn_beside_others{100};

// Of a turn, what is left for one user, or what it used.
struct Share {
    std::int64_t calls;
    nanoseconds time;

    bool is_used_up() const { return calls <= 0 || time <= nanoseconds{0}; }
};

class Turns {
public:
    using Serve = std::function<void(std::uint64_t connection)>;

    // `serve` is called for each connection whose turn it is.
    Turns(EventLoop& loop, const Quota& quota, Serve serve);
    Turns(const Turns&) = delete; // Pinned: what is put off has its address.
    Turns& operator=(const Turns&) = delete;

    // The connection has something to do: in this turn of the loop, or in one of the next.
    void ask(uid_t uid, std::uint64_t connection);
    // Whether others wait, or the share is used up.
    bool must_wait(uid_t uid);
    Share share_of(uid_t uid);
    // So much was done for the user's connections.
    void used(uid_t uid, const Share& much);

private:
    // Before the first, so that the first share is a whole one.
    static constexpr std::uint64_t no_turn = ~std::uint64_t{0};
    static constexpr std::uint64_t longest_debt = 1'000; // In turns.

    struct User {
        std::uint64_t turn = no_turn; // Of the loop, that the share is for.
        Share share{};
        nanoseconds had{0}; // In all; who comes back has had nearly as much as the others.
        std::deque<std::uint64_t> waiting{}; // Connections.
        bool is_in_line = false;             // Or is being served, and then in line again.
    };
    // In the line: who has had least, and then who came first.
    using Place = std::tuple<nanoseconds, std::uint64_t, uid_t>;

    User& user(uid_t account);
    nanoseconds left_for_all();
    void stand_in_line(uid_t account, User& user);
    void serve_all();
    bool serve(User& user, uid_t account); // Whether there was anything to serve.
    void come_again();
    void forget_users();

    EventLoop& loop_;
    const Quota& quota_;
    Serve serve_;
    std::map<uid_t, User> users_; // By account: who has been here of late.
    std::set<Place> line_;        // Accounts that wait.
    std::uint64_t places_ = 0;    // That were ever taken in it.
    nanoseconds least_had_{0};    // By whoever was served last.
    std::uint64_t turn_of_all_ = no_turn;
    nanoseconds left_for_all_{0}; // In that turn.
    std::uint64_t forgot_in_ = 0; // The turn in which users were forgotten last.
    bool is_coming_ = false;      // serve_all(), in this turn or the next.
};

} // namespace evfd::daemon
