#include "daemon/ipc/fd_closer.h"

#include "daemon/limits.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

namespace evfd::daemon {

namespace {

[[noreturn]] void wait_to_be_killed(pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(0);
    while (true)
        ::pause();
}

} // namespace

void FdCloser::close(uid_t account, UniqueFd socket, Quota::Charge charge)
{
    auto& pending = accounts_[account];
    pending.sockets.push_back(std::move(socket));
    pending.charges.push_back(std::move(charge));
    if (!timeout_)
        advance();
}

// Reaps the children that have ended, and creates new children. Accounts take turns: the search for
// the next account begins after the account that got the last child.
void FdCloser::advance()
{
    timeout_.reset();
    for (auto& [uid, account] : accounts_)
        reap(account);
    int children = 0;
    auto next = accounts_.upper_bound(last_);
    for (auto remaining = accounts_.size(); remaining > 0 && children < max_closers_per_pass;
         --remaining) {
        if (next == accounts_.end())
            next = accounts_.begin();
        if (next->second.child == 0 && start_child(next->second)) {
            ++children;
            last_ = next->first;
        }
        ++next;
    }
    std::erase_if(accounts_, [](const auto& entry) {
        return entry.second.child == 0 && entry.second.sockets.empty();
    });
    if (!accounts_.empty())
        timeout_.emplace(
            loop_.add_timeout(monotonic_deadline(closer_interval), [this] { advance(); }));
}

void FdCloser::reap(Account& account)
{
    if (account.child == 0 || ::waitpid(account.child, nullptr, WNOHANG) == 0)
        return;
    account.child = 0;
    account.charges_of_child.clear();
}

bool FdCloser::start_child(Account& account)
{
    if (account.sockets.empty())
        return false;
    const auto parent = ::getpid();
    const auto child = ::fork();
    if (child < 0) // No child can be created now. The next advance() tries again.
        return false;
    if (child == 0)
        wait_to_be_killed(parent);
    // Closing the sockets cannot block here, because the child still has them open. The kernel
    // closes the last references when the child is killed.
    account.sockets.clear();
    ::kill(child, SIGKILL);
    account.child = child;
    account.charges_of_child = std::exchange(account.charges, {});
    return true;
}

} // namespace evfd::daemon
