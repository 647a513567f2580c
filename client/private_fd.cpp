#include "client/private_fd.h"

#include <pthread.h>

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

void close_all()
{
    for (auto& fd : kept().all) // Their owners find that they have none.
        fd = {};
}

// Before any thread can be at it.
[[maybe_unused]] const int forks_are_looked_after =
    (kept(), ::pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); },
                              [] {
                                  close_all();
                                  kept().mutex.unlock();
                              }));

} // namespace

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
