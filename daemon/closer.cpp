#include "daemon/closer.h"

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

[[noreturn]] void wait_to_be_killed(pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent)
        ::_exit(0);
    while (true)
        ::pause();
}

} // namespace

void Closer::close(uid_t uid, UniqueFd socket, std::optional<Quota::Charge> charge)
{
    auto& closing = users_[uid];
    closing.sockets.push_back(std::move(socket));
    if (charge)
        closing.charges.push_back(*std::move(charge));
    if (!alarm_)
        advance();
}

void Closer::advance()
{
    alarm_.reset();
    for (auto& [uid, closing] : users_) {
        reap(closing);
        if (closing.child == 0)
            start_child(closing);
    }
    std::erase_if(users_, [](const auto& user) {
        return user.second.child == 0 && user.second.sockets.empty();
    });
    if (!users_.empty())
        alarm_.emplace(loop_.alarm(monotonic_after(evfd::daemon::pause), [this] { advance(); }));
}

void Closer::reap(Closing& closing)
{
    if (closing.child == 0 || ::waitpid(closing.child, nullptr, WNOHANG) == 0)
        return;
    closing.child = 0;
    closing.charges_of_child.clear();
}

void Closer::start_child(Closing& closing)
{
    if (closing.sockets.empty())
        return;
    const auto parent = ::getpid();
    const auto child = ::fork();
    if (child < 0) // Later.
        return;
    if (child == 0)
        wait_to_be_killed(parent);
    closing.sockets.clear(); // Not the last references any more.
    ::kill(child, SIGKILL);
    closing.child = child;
    closing.charges_of_child = std::exchange(closing.charges, {});
}

} // namespace evfd::daemon
