#include "client/core/close_on_fork_fd.h"

#include <pthread.h>

#include <atomic>

namespace evfd {

namespace {

struct Kept {
    std::mutex mutex;
    std::list<UniqueFd> all;
};

Kept& kept()
{
    static auto& one = *new Kept; // A thread may still be on its way while the process ends.
    return one;
}

std::atomic<int> forks{0}; // Between the first of us and this one.

void close_all()
{
    for (auto& fd : kept().all) // Their owners find that they have none.
        fd = {};
}

void begin_child()
{
    ++forks;
    close_all();
    kept().mutex.unlock();
}

// Before any thread can be at it.
[[maybe_unused]] const int forks_are_looked_after =
    (kept(),
     ::pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); }, begin_child));

} // namespace

int generation() noexcept
{
    return forks.load(std::memory_order_relaxed) + 1;
}

const UniqueFd PrivateFd::none_;

PrivateFd::PrivateFd(UniqueFd fd) : PrivateFd{Unforked{}.keep(std::move(fd))} {}

PrivateFd::~PrivateFd()
{
    if (!place_)
        return;
    const std::lock_guard holding{kept().mutex};
    kept().all.erase(*place_);
}

Unforked::Unforked() : holding_{kept().mutex} {}

PrivateFd Unforked::keep(UniqueFd fd) const
{
    if (!fd)
        return {};
    kept().all.push_front(std::move(fd));
    return PrivateFd{kept().all.begin()};
}

} // namespace evfd
