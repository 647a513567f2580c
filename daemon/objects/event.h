// An event that lasts: manual, auto or semaphore. It is its eventfd; nothing of its state is kept
// here.
#pragma once

#include "common/clock.h"
#include "common/enums.h"
#include "common/eventfd.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/objects/eventfd_incrementer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace evfd::daemon {

class Event {
public:
    static Result<Event> create(Mode mode, std::int64_t initial); // Any mode but pulse.
    // One that an earlier daemon made, and may have handed out.
    Event(Mode mode, UniqueFd fd, bool is_shared)
        : mode_{mode}, is_shared_{is_shared}, fd_{std::make_shared<const UniqueFd>(std::move(fd))}
    {
    }

    Mode mode() const { return mode_; }
    const UniqueFd& fd() const { return *fd_; }

    bool is_set() const { return is_readable(*fd_); }
    Result<std::uint64_t> count() const { return evfd::count(*fd_); }
    Result<FdInfo> read_fdinfo() const { return evfd::read_fdinfo(*fd_); }
    // Adds tokens to a semaphore; other modes know only "set". A counter that is full stays full.
    Result<void> set(std::int64_t tokens, const EventfdIncrementer& incrementer);
    // What set() adds, as one eventfd for each time it adds 1.
    void append_targets(std::int64_t tokens, std::vector<int>& targets) const;
    // Whether nobody else can have changed it by the time we look again.
    bool is_unshared() const { return !is_shared_; }
    // Takes what a wait takes, into memory that may be shared; false if there was nothing. Not for
    // manual.
    Result<bool> take(std::uint64_t& into) const
    {
        return is_shared_ ? take_into(*fd_, into) : take_unshared_into(*fd_, into);
    }
    // Whether it is clear; not if it is a semaphore and has more tokens than could be taken until
    // `end`. `left`, E2BIG: see drain().
    Result<bool> clear(std::optional<std::uint64_t>& remaining, MonotonicTime end) const;

    // The eventfd itself, for one who may wait and set; as it was made, whatever its holders did.
    std::shared_ptr<const UniqueFd> share();
    // A new one, for one who may wait only.
    Result<UniqueFd> make_wait_only() const { return evfd::make_wait_only(*fd_); }

private:
    Mode mode_;
    bool is_shared_ = false;             // And so at their mercy: see Adder.
    std::shared_ptr<const UniqueFd> fd_; // With replies that are under way.
};

} // namespace evfd::daemon
