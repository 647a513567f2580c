// Timer: an open timer, as a private timerfd that follows the timer's schedule.
#pragma once

#include "common/clock.h"
#include "evfd/error.h"
#include "evfd/schedule.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <optional>

namespace evfd {

// Client::open_timer() returns a Timer. fd() is a timerfd(2) that belongs to this subscriber alone:
// nobody else consumes its expirations, and it keeps expiring while the daemon is down. The daemon
// reprograms it when the timer is armed again or disarmed. Several threads may use a Timer at the
// same time; they share its count.
class Timer final : public Waitable {
public:
    // Arms the timer for every subscriber before it returns. Requires the permission to set.
    Expected<void> arm(const Schedule& schedule) const;
    // Disarms the timer for every subscriber before it returns. Requires the permission to set.
    Expected<void> disarm() const;

    // Waits until the timer expires, and consumes the count. Returns the number of expirations
    // since the last wait, or since the timer was opened or armed. Returns 0 if the timeout passed
    // first. Without a timeout it waits indefinitely; a timeout of 0 checks once. cancelled: the
    // wall clock was set, and the schedule has cancel_on_clock_change.
    Expected<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    // Like wait(), until a point in time.
    Expected<std::int64_t> wait_until(MonotonicTime deadline) const;

    // Returns the time to the next expiry, or nothing if the timer is disarmed.
    Expected<std::optional<nanoseconds>> remaining() const;

private:
    friend class Client;
    using Waitable::Waitable;

    Expected<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    Consumption consumption() const override { return Consumption::exclusive; }
    Expected<std::int64_t> consume() const override;
    // A timerfd is private, so there is nothing to return.
    Expected<void> restore(std::int64_t) const override { return {}; }
};

} // namespace evfd
