// DeadlineTimer: ends a wait at a time on a clock. A wait for an object and for a DeadlineTimer
// also ends on time if the wall clock is set during the wait, which a timeout cannot do.
#pragma once

#include "client/c/error.h"
#include "common/clock.h"
#include "common/timerfd.h"
#include "evfd/waitable.h"

namespace evfd::c {

class DeadlineTimer final : public Waitable {
public:
    // Makes a timer that expires at `deadline`, which must be above 0.
    static Result<DeadlineTimer> make(Clock clock, nanoseconds deadline)
    {
        auto fd = make_timerfd(clock);
        if (!fd)
            return std::unexpected(to_failure(fd.error()));
        if (const auto armed = set(*fd, {.first = deadline}); !armed)
            return std::unexpected(to_failure(armed.error()));
        return DeadlineTimer{*std::move(fd)};
    }

private:
    static Failure to_failure(const Fault& fault)
    {
        switch (fault.error) {
        case EMFILE:
        case ENFILE:
            return {EMFILE, "a wait until a time on this clock needs a free descriptor; close "
                            "some, raise the limit, or give EVFD_CLOCK_MONOTONIC"};
        case ENOMEM: return {ENOMEM, fault.message()};
        default: return {EIO, fault.message()};
        }
    }

    // The timer is of no daemon. So its name is not the name of an object.
    explicit DeadlineTimer(UniqueFd fd)
        : Waitable{
              nullptr, *Name::parse("deadline"), {.wait = true, .set = true}, std::move(fd), {}}
    {
    }

    Consumption consumption() const override { return Consumption::exclusive; }
    Expected<std::int64_t> consume() const override
    {
        const auto consumed = take_expirations(fd_);
        if (!consumed)
            return std::unexpected(Error{ErrorCode::system, consumed.error().message()});
        return static_cast<std::int64_t>(*consumed);
    }
    Expected<void> restore(std::int64_t) const override { return {}; }
};

} // namespace evfd::c
