// Event: an event with a state, which has the mode manual, auto or semaphore. The eventfd holds the
// whole state, and the class caches no part of it.
#pragma once

#include "common/clock.h"
#include "common/enums.h"
#include "common/eventfd.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/time_slice.h"
#include "common/unique_fd.h"
#include "daemon/access/shared_pool.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/store/fd_stash.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace evfd::daemon {

class Event {
public:
    // Creates the eventfd of a new event. `mode` must not be pulse.
    static Result<UniqueFd> make_descriptor(Mode mode, std::int64_t initial);
    // `is_shared` says that clients can have the eventfd. It is true for every recovered event,
    // because clients of the earlier daemon can still have the eventfd.
    Event(Mode mode, FdStash::Stored eventfd, SharedPool::Charge charge, bool is_shared)
        : mode_{mode}, is_shared_{is_shared}, eventfd_{std::move(eventfd)},
          charge_{std::move(charge)}
    {
    }

    Mode mode() const { return mode_; }
    const UniqueFd& fd() const { return eventfd_.fd(); }

    bool is_set() const { return is_readable(fd()); }
    Result<std::uint64_t> count() const { return evfd::count(fd()); }
    Result<FdInfo> read_fdinfo() const { return evfd::read_fdinfo(fd()); }
    // Adds the tokens to a semaphore, or sets a manual or auto event. A full counter stays full.
    Result<void> set(std::int64_t tokens, const EventfdIncrementer& incrementer);
    // Appends the eventfd to `targets` once for each increment that set() would make.
    void append_targets(std::int64_t tokens, std::vector<int>& targets) const;
    // Returns whether no client has the eventfd, so that no client can change the counter.
    bool is_unshared() const { return !is_shared_; }
    // Consumes as much as one wait does: one token of a semaphore, or all tokens of an auto event.
    // Stores the number of consumed tokens at `into`, which can be in shared memory. Returns false
    // if the event is not set. Must not be called for a manual event.
    Result<bool> take(std::uint64_t& into) const
    {
        return is_shared_ ? take_into(fd(), into) : take_unshared_into(fd(), into);
    }
    // Clears the event. Returns false if `slice` ended before all tokens of a semaphore were taken;
    // another call continues. For `remaining` and the error E2BIG see drain().
    Result<bool> clear(std::optional<std::uint64_t>& remaining, const TimeSlice& slice) const;

    // Returns the eventfd itself, for the reply to a caller that may wait and set. After this call
    // the event is shared.
    std::shared_ptr<const UniqueFd> share();
    // Returns a new descriptor for a caller that may only wait.
    Result<UniqueFd> make_wait_only() const { return evfd::make_wait_only(fd()); }

private:
    Mode mode_;
    // True if clients can have the eventfd. A client can make a plain write(2) to the eventfd
    // block: see EventfdIncrementer.
    bool is_shared_ = false;
    FdStash::Stored eventfd_;
    SharedPool::Charge charge_; // The charge for the eventfd.
};

} // namespace evfd::daemon
