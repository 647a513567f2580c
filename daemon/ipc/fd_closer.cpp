#include "daemon/ipc/fd_closer.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <utility>

namespace evfd::daemon {

namespace {

// Until it is seen that a child has ended, or another is made.
constexpr std::chrono::milliseconds pause{10};

// At once: fork(2) takes as long as the daemon has memory.
constexpr int most_children_at_once = 2;

[[noreturn]] void wait_to_be_killed(pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(0);
    while (true)
        ::pause();
}

} // namespace

void Closer::close(uid_t account, UniqueFd socket, Quota::Charge charge)
{
    auto& closing = accounts_[account];
    closing.sockets.push_back(std::move(socket));
    closing.charges.push_back(std::move(charge));
    if (!alarm_)
        advance();
}

// The account behind the last one that was given a child is next.
void Closer::advance()
{
    alarm_.reset();
    for (auto& [account, closing] : accounts_)
        reap(closing);
    int children = 0;
    auto next = accounts_.upper_bound(last_);
    for (auto left = accounts_.size(); left > 0 && children < most_children_at_once; --left) {
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
        alarm_.emplace(loop_.alarm(monotonic_after(evfd::daemon::pause), [this] { advance(); }));
}

void Closer::reap(Closing& closing)
{
    if (closing.child == 0 || ::waitpid(closing.child, nullptr, WNOHANG) == 0)
        return;
    closing.child = 0;
    closing.charges_of_child.clear();
}

bool Closer::start_child(Closing& closing)
{
    if (closing.sockets.empty())
        return false;
    const auto parent = ::getpid();
    const auto child = ::fork();
    if (child < 0) // Later.
        return false;
    if (child == 0)
        wait_to_be_killed(parent);
    closing.sockets.clear(); // Not the last references any more.
    ::kill(child, SIGKILL);
    closing.child = child;
    closing.charges_of_child = std::exchange(closing.charges, {});
    return true;
}

} // namespace evfd::daemon
