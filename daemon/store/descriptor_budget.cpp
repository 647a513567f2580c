#include "daemon/store/descriptor_budget.h"

#include "common/limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace evfd::daemon {

// Objects and subscriptions get at most three quarters of the limit, so the daemon can always
// accept clients and report to them that there is no room for more objects. Connections get three
// quarters of the descriptors that remain after that. Replies get the other quarter, because a
// reply holds duplicates of descriptors until it is sent.
//
// During recovery, the daemon opens all descriptors of one stashed message at once. Some of them
// can belong to objects that no longer exist, so the share of objects does not include them. The
// share therefore leaves enough free descriptors for the largest message. If the limit is too low
// for this, objects get half of the free descriptors. The other half is enough for a message,
// because a message never has more descriptors than the objects had.
DescriptorBudget descriptor_budget(std::int64_t limit)
{
    constexpr std::int64_t message = max_descriptors_per_message;
    const auto free = std::max<std::int64_t>(limit - reserved_daemon_fds - reserved_client_fds, 0);
    const auto objects = std::min(limit - limit / 4, std::max(free / 2, free - message));
    const auto rest = std::max<std::int64_t>(limit - reserved_daemon_fds - objects, 0);
    return {.objects = objects, .connections = rest - rest / 4};
}

DescriptorBudget raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "getrlimit(2)"};
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) < 0)
        throw std::system_error{errno, std::generic_category(), "setrlimit(2)"};
    return descriptor_budget(static_cast<std::int64_t>(limit.rlim_cur));
}

} // namespace evfd::daemon
