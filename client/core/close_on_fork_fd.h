// A descriptor of this process alone: a child of fork(2) closes its copy at once. With that the
// daemon would not see the parent go before the child did, whether it calls us or not.
#pragma once

#include "common/unique_fd.h"

#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace evfd {

class CloseOnForkFd {
public:
    CloseOnForkFd() noexcept = default;
    CloseOnForkFd(UniqueFd fd); // NOLINT: It is one. A child that was forked before has its copy.
    CloseOnForkFd(CloseOnForkFd&& other) noexcept : entry_{std::exchange(other.entry_, {})} {}
    CloseOnForkFd& operator=(CloseOnForkFd&& other) noexcept
    {
        CloseOnForkFd taken{std::move(other)};
        std::swap(entry_, taken.entry_);
        return *this;
    }
    ~CloseOnForkFd();

    explicit operator bool() const noexcept { return get() >= 0; }
    int get() const noexcept { return entry_ ? (*entry_)->get() : -1; } // -1 in a child.
    const UniqueFd& fd() const noexcept { return entry_ ? **entry_ : none_; }

private:
    friend class ForkGuard;
    using FdList = std::list<UniqueFd>;
    explicit CloseOnForkFd(FdList::iterator entry) noexcept : entry_{entry} {}

    static const UniqueFd none_;
    std::optional<FdList::iterator> entry_;
};

// Which process of those that were forked from one another this is: each has another number than
// its parent, from 1. getpid(2) tells as much, but has the kernel asked each time.
int fork_generation() noexcept;

// While it lives nobody forks: what is made and kept meanwhile is in no child. Not for long.
class ForkGuard {
public:
    ForkGuard();
    CloseOnForkFd adopt(UniqueFd fd) const;

private:
    std::unique_lock<std::mutex> lock_;
};

} // namespace evfd
