// A named timer in this process: a timerfd of one's own on the timer's grid.
#pragma once

#include "common/clock.h"
#include "evfd/error.h"
#include "evfd/schedule.h"
#include "evfd/waitable.h"

#include <cstdint>
#include <optional>

namespace evfd {

// As Client::open_timer() gives it. fd() is a timerfd(2) that nobody else reads: its count is this
// opener's own, and it goes on while the daemon is away. It follows the name when that is armed
// anew or disarmed. May be used by several threads, which then share its count.
class Timer final : public Waitable {
public:
    // For everybody who has it open, before it returns.
    Expected<void> arm(const Schedule& schedule) const;
    Expected<void> disarm() const;

    // Waits until it expires, and takes the count: how often it expired since the last wait, or
    // since it was opened or armed. 0: the time was over first. Without a timeout it waits for
    // ever; 0 looks once. cancelled: the wall clock was set, and the timer was to be cancelled by
    // that.
    Expected<std::int64_t> wait(std::optional<nanoseconds> timeout = {}) const;
    Expected<std::int64_t> wait_until(MonotonicTime deadline) const;

    // Until it expires next; nothing if it does not.
    Expected<std::optional<nanoseconds>> remaining() const;

private:
    friend class Client;
    using Waitable::Waitable;

    Expected<std::int64_t> wait_by(std::optional<MonotonicTime> deadline) const;

    Consumption consumption() const override { return Consumption::exclusive; }
    Expected<std::int64_t> consume() const override;
    Expected<void> restore(std::int64_t) const override { return {}; } // Nothing of it is shared.
};

} // namespace evfd
