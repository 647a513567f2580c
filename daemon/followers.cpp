#include "daemon/followers.h"

#include "common/eventfd.h"

namespace evfd::daemon {

Result<UniqueFd> Followers::add(const Token& token, UniqueFd fd, Quota::Charge charge)
{
    auto copy = duplicate(fd);
    if (copy)
        all_.emplace(token, Subscription{std::move(fd), std::move(charge)});
    return copy;
}

} // namespace evfd::daemon
