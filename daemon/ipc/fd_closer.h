// Closes sockets in which descriptors may lie that a client sent. The last close of such a
// descriptor can sleep for as long as its sender likes: a socket with SO_LINGER and something
// unsent. The kernel does not linger for a process that ends, so a child has the last reference and
// is killed. socket(7)
#pragma once

#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/base/event_loop.h"

#include <sys/types.h>

#include <map>
#include <optional>
#include <vector>

namespace evfd::daemon {

class FdCloser {
public:
    explicit FdCloser(EventLoop& loop) : loop_{loop} {}
    FdCloser(const FdCloser&) = delete;
    FdCloser& operator=(const FdCloser&) = delete;

    // `charge` is given back once it is closed. An account (see Quota) has one child at a time, for
    // all of its sockets that there are by then; in one turn of the loop few children are made.
    void close(uid_t account, UniqueFd socket, Quota::Charge charge);

private:
    struct Account {
        std::vector<UniqueFd> sockets; // For the next child.
        std::vector<Quota::Charge> charges;
        pid_t child = 0; // 0: there is none.
        std::vector<Quota::Charge> charges_of_child;
    };

    void advance();
    static void reap(Account& account);
    static bool start_child(Account& account); // Whether one was made.

    EventLoop& loop_;
    std::map<uid_t, Account> accounts_; // That have something to be closed.
    uid_t last_ = 0;                    // Account that was given a child.
    std::optional<EventLoop::Timeout> timeout_;
};

} // namespace evfd::daemon
