// Event: an open event, with its descriptor, its mode and the caller's access to it.
#pragma once

#include "common/clock.h"
#include "common/enums.h"
#include "evfd/error.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace evfd {

// Client::open() returns an Event. Most operations are system calls on the descriptor. Only these
// operations go through the daemon: set() of a pulse, and set() and clear() by a caller that has no
// permission to wait.
//
// If the caller has permission to set and to wait, fd() is an eventfd(2), and a read(2) consumes
// what wait() consumes. A caller with only the permission to wait can poll an auto event or a
// semaphore, but cannot wait for it, because a wait would consume a token. Several threads may use
// an Event at the same time.
class Event final : public Waitable {
public:
    Mode mode() const { return mode_; }

    // Sets a manual or auto event. Adds `count` tokens to a semaphore, and fails with refused if
    // the tokens do not fit. Delivers `count` pulses to every present subscriber of a pulse.
    Expected<void> set(std::int64_t count = 1) const;
    // Resets a manual or auto event. Consumes the tokens that a semaphore has now, one by one.
    // Fails with refused if a semaphore has more than max_tokens_per_clear tokens; Error::is_limit
    // is true in this case. For a pulse, discards the caller's own unconsumed pulses.
    Expected<void> clear() const;

    // Waits until the event is set, and then consumes from it in the way that its mode prescribes.
    // Returns 1, or for a pulse the number of pulses since the last wait. Returns 0 if the timeout
    // passed first. A wait without a timeout has no limit; a timeout of 0 checks once.
    //
    // If supports_latched_wait() returns true, a set of a manual event releases every present
    // waiter, even if the event is cleared immediately.
    Expected<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    // Like wait(), but with a deadline instead of a timeout.
    Expected<std::int64_t> wait_until(MonotonicTime deadline) const;

private:
    friend class Client;
    Event(std::shared_ptr<ConnectionPool> pool, Name name, Mode mode, Access access, UniqueFd fd,
          std::string subscription);

    // Returns whether fd_ is an eventfd. If the caller has no permission to wait, fd_ is empty.
    // Otherwise fd_ depends on the event and on the permission to set:
    //   - For a pulse, fd_ is a private eventfd.
    //   - For other events with permission to set, fd_ is a shared eventfd.
    //   - For other events without permission to set, fd_ is a wait-only descriptor.
    bool has_eventfd() const { return fd_ && (mode_ == Mode::pulse || access_.set); }
    Expected<void> clear_semaphore() const;
    Expected<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    Consumption consumption() const override;
    Expected<std::int64_t> consume() const override;
    Expected<void> restore(std::int64_t count) const override;

    Mode mode_;
};

} // namespace evfd
