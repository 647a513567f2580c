// Timer: an open timer. The caller has a private timerfd, to which the daemon gives each new
// schedule of the timer.
#pragma once

#include "common/clock.h"
#include "evfd/error.h"
#include "evfd/schedule.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <optional>

namespace evfd {

// Client::open_timer() returns a Timer. fd() is a timerfd(2) that belongs to this subscriber alone:
// nobody else consumes its expirations, and the timerfd expires even while the daemon is down. The
// daemon reprograms the timerfd when the timer is armed again or disarmed. Several threads may use
// a Timer at the same time; the threads share the count of expirations.
class Timer final : public Waitable {
public:
    // Arms the timer. Before the function returns, the descriptors of all subscribers have the new
    // schedule. Requires the permission to set.
    Expected<void> arm(const Schedule& schedule) const;
    // Disarms the timer. Before the function returns, the descriptors of all subscribers are
    // disarmed. Requires the permission to set.
    Expected<void> disarm() const;

    // Waits until the timer expires, and consumes the count of expirations. Returns the number of
    // expirations since the last wait, or since the timer was opened or armed. Returns 0 if the
    // timeout passed first. A wait without a timeout has no limit; a timeout of 0 checks once.
    // Fails with cancelled if the wall clock was set and the schedule has cancel_on_clock_change.
    Expected<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    // Like wait(), but with a deadline instead of a timeout.
    Expected<std::int64_t> wait_until(MonotonicTime deadline) const;

    // Returns the time to the next expiry, or nothing if the timer is disarmed.
    Expected<std::optional<nanoseconds>> remaining() const;

private:
    friend class Client;
    using Waitable::Waitable;

    Expected<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    Consumption consumption() const override { return Consumption::exclusive; }
    Expected<std::int64_t> consume() const override;
    // Does nothing. The timerfd is private, so nobody else could consume expirations that were
    // given back.
    Expected<void> restore(std::int64_t) const override { return {}; }
};

} // namespace evfd
