// Whose turn it is. In one turn of the loop the connections of one user together have so many calls
// answered, or so much time; the rest of what they ask comes later, in the order in which they
// came.
#pragma once

#include "common/clock.h"
#include "daemon/event_loop.h"
#include "daemon/quota.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>

namespace evfd::daemon {

// For so long one user's connections are served in one turn, with as few calls as it may be.
inline constexpr std::chrono::milliseconds max_turn{1};

// What is left for one user in this turn.
struct Share {
    std::int64_t calls;
    nanoseconds time;

    bool is_used_up() const { return calls <= 0 || time <= nanoseconds{0}; }
};

class Turns {
public:
    using Serve = std::function<void(std::uint64_t connection)>;

    // `serve` is called for each connection whose turn it is.
    Turns(EventLoop& loop, Quota& quota, Serve serve);
    Turns(const Turns&) = delete; // Pinned: what is put off has its address.
    Turns& operator=(const Turns&) = delete;

    // The connection has something to do: in this turn of the loop, or in one of the next.
    void ask(uid_t uid, std::uint64_t connection);
    // Whether others of that user's are before it, or the share is used up.
    bool must_wait(uid_t uid);
    // Valid in this turn.
    Share& share_of(uid_t uid);

private:
    // Before the first, so that the first share is a whole one.
    static constexpr std::uint64_t no_turn = ~std::uint64_t{0};
    static constexpr std::uint64_t longest_debt = 1'000; // In turns.

    struct User {
        std::uint64_t turn = no_turn; // Of the loop, that the share is for.
        Share share{};
        std::deque<std::uint64_t> waiting{};
    };

    User& user(uid_t uid);
    void serve_all();
    void serve(uid_t uid);

    EventLoop& loop_;
    Quota& quota_;
    Serve serve_;
    std::map<uid_t, User> users_; // Who has been here since somebody last had to wait.
    bool is_coming_ = false;      // serve_all(), in this turn or the next.
};

} // namespace evfd::daemon
