#include "common/timerfd.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace evfd {

Result<UniqueFd> make_timerfd(Clock clock)
{
    UniqueFd fd{::timerfd_create(to_clockid(clock), TFD_NONBLOCK | TFD_CLOEXEC)};
    if (!fd)
        return std::unexpected(Fault::last("timerfd_create(2)"));
    return fd;
}

Result<void> set(const UniqueFd& timerfd, const TimerSetting& setting)
{
    const bool is_absolute = setting.base == TimerSetting::Base::absolute;
    const int flags = (is_absolute ? TFD_TIMER_ABSTIME : 0) |
                      (setting.cancel_on_clock_change ? TFD_TIMER_CANCEL_ON_SET : 0);
    const itimerspec spec{.it_interval = to_timespec(setting.interval),
                          .it_value = to_timespec(setting.first)};
    if (::timerfd_settime(timerfd.get(), flags, &spec, nullptr) < 0)
        return std::unexpected(Fault::last("timerfd_settime(2)"));
    return {};
}

Result<std::uint64_t> take_expirations(const UniqueFd& timerfd)
{
    std::uint64_t expirations = 0;
    while (::read(timerfd.get(), &expirations, sizeof expirations) < 0) {
        if (errno == EAGAIN)
            return 0;
        if (errno != EINTR)
            return std::unexpected(Fault::last("read(2) of a timerfd"));
    }
    return expirations;
}

Result<nanoseconds> time_left(const UniqueFd& timerfd)
{
    const auto setting = current_setting(timerfd);
    return setting ? Result<nanoseconds>{setting->first} : std::unexpected(setting.error());
}

Result<TimerSetting> current_setting(const UniqueFd& timerfd)
{
    itimerspec spec{};
    if (::timerfd_gettime(timerfd.get(), &spec) < 0)
        return std::unexpected(Fault::last("timerfd_gettime(2)"));
    const auto span = [](const timespec& time) {
        return std::chrono::seconds{time.tv_sec} + nanoseconds{time.tv_nsec};
    };
    const auto interval = span(spec.it_interval);
    // Only an armed timer has an interval, because evfdd sets no interval when it disarms a timer.
    // If an armed timer has no time left, an expiration is due now.
    const bool is_due = interval > nanoseconds{0};
    return TimerSetting{
        .first = std::max(span(spec.it_value), is_due ? expiry_in_progress : nanoseconds{0}),
        .interval = interval,
        .base = TimerSetting::Base::relative};
}

} // namespace evfd
