// Operations on a timerfd(2).
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <cstdint>

namespace evfd {

// The setting of a timerfd. timerfd_settime(2)
struct TimerSetting {
    enum class Base { absolute, relative };

    nanoseconds first; // The first expiration; 0 disarms the timer.
    nanoseconds interval{0};
    Base base = Base::absolute;
    // Sets TFD_TIMER_CANCEL_ON_SET, which is valid only for an absolute time on a wall clock.
    bool cancel_on_clock_change = false;
};
inline constexpr TimerSetting disarmed{.first = nanoseconds{0}};

// Creates a non-blocking timerfd. Fails with EPERM for an alarm clock if the process lacks
// CAP_WAKE_ALARM.
Result<UniqueFd> make_timerfd(Clock clock);
// Arms or disarms the timerfd, and discards unread expirations. Fails with ECANCELED if the old and
// the new setting have cancel_on_clock_change, and the wall clock was set, and the timerfd has not
// reported this yet. Even after this error, the timerfd has the new setting.
Result<void> set(const UniqueFd& timerfd, const TimerSetting& setting);
// Returns the number of expirations since the last call, or since the timer was set. Fails with
// ECANCELED, once, if the wall clock was set. Never blocks, unless a process that has the timerfd
// has switched O_NONBLOCK off.
Result<std::uint64_t> take_expirations(const UniqueFd& timerfd);
// Returns the time until the next expiration. Returns 0 if no expiration is to come. If an
// expiration is due now, see expiry_in_progress.
Result<nanoseconds> time_left(const UniqueFd& timerfd);
// Returns the present setting. `first` is the time until the next expiration.
Result<TimerSetting> current_setting(const UniqueFd& timerfd);
// The remaining time of a timerfd with an interval, if the time of an expiration has passed, but
// the kernel's interrupt for this expiration is still to come. A timerfd without an interval has a
// remaining time of 0 in this case, as after its expiration.
inline constexpr nanoseconds expiry_in_progress{1};

} // namespace evfd
