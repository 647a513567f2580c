// CloseOnForkFd: a descriptor that a child of fork(2) closes at once. A copy in a child would keep
// the connection open after the parent's exit, so that the daemon would not notice the exit.
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
    CloseOnForkFd(UniqueFd fd); // NOLINT: implicit. A child that was forked earlier keeps its copy.
    CloseOnForkFd(CloseOnForkFd&& other) noexcept : entry_{std::exchange(other.entry_, {})} {}
    CloseOnForkFd& operator=(CloseOnForkFd&& other) noexcept
    {
        CloseOnForkFd moved{std::move(other)};
        std::swap(entry_, moved.entry_);
        return *this;
    }
    ~CloseOnForkFd();

    explicit operator bool() const noexcept { return get() >= 0; }
    int get() const noexcept { return entry_ ? (*entry_)->get() : -1; } // Returns -1 in a child.
    const UniqueFd& fd() const noexcept { return entry_ ? **entry_ : none_; }

private:
    friend class ForkGuard;
    using FdList = std::list<UniqueFd>;
    explicit CloseOnForkFd(FdList::iterator entry) noexcept : entry_{entry} {}

    static const UniqueFd none_;
    std::optional<FdList::iterator> entry_;
};

// Returns a number that differs between a process and its forked ancestors, starting at 1. Makes no
// system call, unlike getpid(2).
int fork_generation() noexcept;

// Prevents fork(2) in other threads while it lives, so that no child gets a descriptor that is
// created and adopted meanwhile. Hold it only for a short time.
class ForkGuard {
public:
    ForkGuard();
    CloseOnForkFd adopt(UniqueFd fd) const;

private:
    std::unique_lock<std::mutex> lock_;
};

} // namespace evfd
