#include "daemon/objects/subscription_table.h"

namespace evfd::daemon {

void SubscriptionTable::add(const Token& token, Subscription subscription)
{
    descriptors_.reset();
    subscriptions_.emplace(token, std::move(subscription));
}

bool SubscriptionTable::remove(const Token& token)
{
    descriptors_.reset();
    return subscriptions_.erase(token) > 0;
}

const SubscriptionTable::Descriptors& SubscriptionTable::descriptors() const
{
    if (!descriptors_) {
        Descriptors listed;
        for (const auto& [token, subscription] : subscriptions_)
            (subscription.is_persistent() ? listed.persistent : listed.others)
                .push_back(subscription.fd().get());
        descriptors_ = std::move(listed);
    }
    return *descriptors_;
}

const Subscription* SubscriptionTable::find(const Token& token) const
{
    const auto found = subscriptions_.find(token);
    return found == subscriptions_.end() ? nullptr : &found->second;
}

} // namespace evfd::daemon
