#include "daemon/objects/schedule.h"

namespace evfd::daemon {

std::int64_t Schedule::expirations_by(nanoseconds now) const
{
    if (now < first)
        return 0;
    return is_once() ? 1 : (now - first) / interval + 1;
}

std::optional<nanoseconds> Schedule::expiration(std::int64_t index) const
{
    if (is_once() && index > 0)
        return {};
    std::int64_t offset = 0;
    std::int64_t at = 0;
    if (__builtin_mul_overflow(index, interval.count(), &offset) ||
        __builtin_add_overflow(first.count(), offset, &at))
        return {};
    return nanoseconds{at};
}

} // namespace evfd::daemon
