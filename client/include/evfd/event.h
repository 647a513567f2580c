// A named event in this process: its descriptor, and what its mode and rights let one do with it.
#pragma once

#include "common/clock.h"
#include "common/enums.h"
#include "evfd/error.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace evfd {

// As Client::open() gives it. Wherever its rights allow, everything happens on the descriptor,
// without the daemon; through the daemon go a set of a pulse, and sets and clears by one who may
// not wait. With both rights fd() is an eventfd(2): a read takes what a wait takes. With the right
// to wait alone an auto event or a semaphore can be looked at and polled, but not waited for: that
// would take from it. May be used by several threads.
class Event final : public Waitable {
public:
    Mode mode() const { return mode_; }

    // manual and auto: set it. semaphore: add `count` tokens; refused if it has no room for them.
    // pulse: reach all who follow it now, to be counted `count` times.
    Expected<void> set(std::int64_t count = 1) const;
    // manual, auto: no longer set. semaphore: no token left of those that there were, which are
    // taken one by one; refused for a limit if they are more than max_tokens_per_clear. pulse:
    // forget those not waited for yet.
    Expected<void> clear() const;

    // Waits until it is set, and takes what its mode takes: 1; for a pulse, how many came since the
    // last wait. 0: the time was over first. Without a timeout it waits for ever; 0 looks once.
    // A set of a manual event releases all who wait at that moment even if it is cleared at once,
    // as long as supports_latched_wait() holds.
    Expected<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    Expected<std::int64_t> wait_until(MonotonicTime deadline) const;

private:
    friend class Client;
    Event(std::shared_ptr<ConnectionPool> pool, Name name, Mode mode, Access access, UniqueFd fd,
          std::string subscription);

    // With both rights the descriptor is the eventfd itself; for a pulse, the caller's own one.
    bool has_eventfd() const { return fd_ && (mode_ == Mode::pulse || access_.set); }
    Expected<void> clear_semaphore() const;
    Expected<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    Consumption consumption() const override;
    Expected<std::int64_t> consume() const override;
    Expected<void> restore(std::int64_t count) const override;

    Mode mode_;
};

} // namespace evfd
