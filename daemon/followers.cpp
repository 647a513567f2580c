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

const UniqueFd* Followers::find(const Token& token) const
{
    const auto found = all_.find(token);
    return found == all_.end() ? nullptr : &found->second.fd;
}

} // namespace evfd::daemon
