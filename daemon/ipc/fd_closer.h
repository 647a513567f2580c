// Closes sockets that can contain descriptors sent by a client. The last close of such a descriptor
// can sleep for as long as the sender likes, if the descriptor is a socket with SO_LINGER and
// unsent data. The kernel does not linger for a process that exits. Therefore a child process gets
// the last reference to each socket and is killed. socket(7)
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

    // Has a child process close `socket`, and releases `charge` afterwards. An account (see Quota)
    // has at most one child at a time. A child closes all sockets that are queued for the account
    // when the child is created. One iteration of the loop creates only a few children.
    void close(uid_t account, UniqueFd socket, Quota::Charge charge);

private:
    struct Account {
        std::vector<UniqueFd> sockets; // The sockets that the next child closes.
        std::vector<Quota::Charge> charges;
        pid_t child = 0; // The pid of the child; 0 if there is none.
        std::vector<Quota::Charge> charges_of_child;
    };

    void advance();
    static void reap(Account& account);
    static bool start_child(Account& account); // Returns whether a child was created.

    EventLoop& loop_;
    std::map<uid_t, Account> accounts_; // The accounts with sockets to close or a child to reap.
    uid_t last_ = 0;                    // The last account that got a child.
    std::optional<EventLoop::Timeout> timeout_;
};

} // namespace evfd::daemon
