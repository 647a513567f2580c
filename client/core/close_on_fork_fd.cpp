#include "client/core/close_on_fork_fd.h"

#include <pthread.h>

#include <atomic>

namespace evfd {

namespace {

struct OpenFds {
    std::mutex mutex;
    std::list<UniqueFd> all;
};

OpenFds& open_fds()
{
    // The list of descriptors is never destroyed, because threads can use the list while the
    // process exits.
    static auto& one = *new OpenFds;
    return one;
}

// 0 in the process that loaded this library. A child of fork(2) has its parent's number plus 1.
std::atomic<int> fork_count{0};

void close_all()
{
    for (auto& fd : open_fds().all) // From now on, CloseOnForkFd::get() returns -1.
        fd = {};
}

void handle_fork_in_child()
{
    ++fork_count;
    close_all();
    open_fds().mutex.unlock();
}

// The fork handlers are registered during static initialization, before the program starts threads.
[[maybe_unused]] const int fork_handlers_are_registered =
    (open_fds(), ::pthread_atfork([] { open_fds().mutex.lock(); },
                                  [] { open_fds().mutex.unlock(); }, handle_fork_in_child));

} // namespace

int fork_generation() noexcept
{
    return fork_count.load(std::memory_order_relaxed) + 1;
}

const UniqueFd CloseOnForkFd::none_;

CloseOnForkFd::CloseOnForkFd(UniqueFd fd) : CloseOnForkFd{ForkGuard{}.adopt(std::move(fd))} {}

CloseOnForkFd::~CloseOnForkFd()
{
    if (!entry_)
        return;
    const std::lock_guard locked{open_fds().mutex};
    open_fds().all.erase(*entry_);
}

ForkGuard::ForkGuard() : lock_{open_fds().mutex} {}

CloseOnForkFd ForkGuard::adopt(UniqueFd fd) const
{
    if (!fd)
        return {};
    open_fds().all.push_front(std::move(fd));
    return CloseOnForkFd{open_fds().all.begin()};
}

} // namespace evfd
