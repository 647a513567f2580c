// A descriptor of this process alone: a child of fork(2) closes its copy at once. With that the
// daemon would not see the parent go before the child did, whether it calls us or not.
#pragma once

#include "common/unique_fd.h"

#include <list>
#include <mutex>
#include <optional>
#include <utility>

namespace evfd {

class PrivateFd {
public:
    PrivateFd() noexcept = default;
    PrivateFd(UniqueFd fd); // NOLINT: It is one. A child that was forked before has its copy.
    PrivateFd(PrivateFd&& other) noexcept : place_{std::exchange(other.place_, {})} {}
    PrivateFd& operator=(PrivateFd&& other) noexcept
    {
        PrivateFd taken{std::move(other)};
        std::swap(place_, taken.place_);
        return *this;
    }
    ~PrivateFd();

    explicit operator bool() const noexcept { return get() >= 0; }
    int get() const noexcept { return place_ ? (*place_)->get() : -1; } // -1 in a child.
    const UniqueFd& fd() const noexcept { return place_ ? **place_ : none_; }

private:
    friend class Unforked;
    using All = std::list<UniqueFd>;
    explicit PrivateFd(All::iterator place) noexcept : place_{place} {}

    static const UniqueFd none_;
    std::optional<All::iterator> place_;
};

// Which process of those that were forked from one another this is: each has another number than
// its parent, from 1. getpid(2) tells as much, but has the kernel asked each time.
int generation() noexcept;

// While it lives nobody forks: what is made and kept meanwhile is in no child. Not for long.
class Unforked {
public:
    Unforked();
    PrivateFd keep(UniqueFd fd) const;

private:
    std::unique_lock<std::mutex> holding_;
};

} // namespace evfd
