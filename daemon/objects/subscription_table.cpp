#include "daemon/objects/subscription_table.h"

namespace evfd::daemon {

void Followers::add(const Token& token, Subscription subscription)
{
    all_.emplace(token, std::move(subscription));
}

const Subscription* Followers::find(const Token& token) const
{
    const auto found = all_.find(token);
    return found == all_.end() ? nullptr : &found->second;
}

} // namespace evfd::daemon
