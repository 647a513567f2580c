#include "daemon/objects/subscription_table.h"

namespace evfd::daemon {

void SubscriptionTable::add(const Token& token, Subscription subscription)
{
    subscriptions_.emplace(token, std::move(subscription));
}

const Subscription* SubscriptionTable::find(const Token& token) const
{
    const auto found = subscriptions_.find(token);
    return found == subscriptions_.end() ? nullptr : &found->second;
}

} // namespace evfd::daemon
