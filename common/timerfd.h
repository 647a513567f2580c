// What can be asked of a timerfd(2) that is one's own.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <cstdint>

namespace evfd {

// When a timerfd expires. timerfd_settime(2)
struct TimerSetting {
    enum class Base { absolute, relative };

    nanoseconds first; // 0 disarms it.
    nanoseconds interval{0};
    Base base = Base::absolute;
    bool cancel_on_clock_change = false; // For the wall clock, from its zero.
};
inline constexpr TimerSetting disarmed{.first = nanoseconds{0}};

// Non-blocking. EPERM: the alarm clocks take CAP_WAKE_ALARM.
Result<UniqueFd> make_timerfd(Clock clock);
// What was not read of it is forgotten. ECANCELED: it is set, and the wall clock was set since that
// was last told.
Result<void> set(const UniqueFd& timerfd, const TimerSetting& setting);
// How often it expired since that was last asked, or since it was set; 0: not since. ECANCELED,
// once: the wall clock was set. Never blocks as long as no holder made the open file blocking.
Result<std::uint64_t> take_expirations(const UniqueFd& timerfd);
// Until it expires next; 0 if it does not, `due` if that is under way.
Result<nanoseconds> time_left(const UniqueFd& timerfd);
// The same, from now, and its interval.
Result<TimerSetting> current_setting(const UniqueFd& timerfd);
// What is left until a point that has passed while the kernel's interrupt for it is still to come.
// Of a timer that expires once that cannot be told from one that has expired.
inline constexpr nanoseconds expiry_in_progress{1};

} // namespace evfd
