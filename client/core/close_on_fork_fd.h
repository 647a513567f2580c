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
    // Takes ownership of `fd`. Only a child that is forked after this call closes its copy of `fd`.
    CloseOnForkFd(UniqueFd fd); // NOLINT: implicit conversion.
    CloseOnForkFd(CloseOnForkFd&& other) noexcept : entry_{std::exchange(other.entry_, {})} {}
    CloseOnForkFd& operator=(CloseOnForkFd&& other) noexcept
    {
        CloseOnForkFd moved{std::move(other)};
        std::swap(entry_, moved.entry_);
        return *this;
    }
    ~CloseOnForkFd();

    explicit operator bool() const noexcept { return get() >= 0; }
    // Returns the descriptor, or -1 if there is none. In a child of fork(2) the descriptor is
    // closed, so the child gets -1.
    int get() const noexcept { return entry_ ? (*entry_)->get() : -1; }
    const UniqueFd& fd() const noexcept { return entry_ ? **entry_ : none_; }

private:
    friend class ForkGuard;
    using FdList = std::list<UniqueFd>;
    explicit CloseOnForkFd(FdList::iterator entry) noexcept : entry_{entry} {}

    static const UniqueFd none_;
    std::optional<FdList::iterator> entry_;
};

// Returns 1 in the process that loaded this library. In a child of fork(2), returns the parent's
// number plus 1, so parent and child have different numbers. Makes no system call, unlike
// getpid(2).
int fork_generation() noexcept;

// While a ForkGuard exists, fork(2) sleeps in every other thread. So no child is forked between the
// creation of a descriptor and the call of adopt(). Keep a guard only for a short time.
class ForkGuard {
public:
    ForkGuard();
    CloseOnForkFd adopt(UniqueFd fd) const;

private:
    std::unique_lock<std::mutex> lock_;
};

} // namespace evfd
