// The subscriptions to one object, by token.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/objects/subscription.h"

#include <map>

namespace evfd::daemon {

class SubscriptionTable {
public:
    // Adds a subscription, which lasts until remove().
    void add(const Token& token, Subscription subscription);
    bool has(const Token& token) const { return subscriptions_.contains(token); }
    // Returns null if there is no such subscription.
    const Subscription* find(const Token& token) const;
    bool remove(const Token& token) { return subscriptions_.erase(token) > 0; }
    std::size_t size() const { return subscriptions_.size(); }
    const std::map<Token, Subscription>& all() const { return subscriptions_; }

    // Calls `each` with the descriptor of every subscription. Continues after a failure, and
    // returns the first failure.
    template <class Each>
    Result<void> for_each(Each each) const
    {
        Result<void> all;
        for (const auto& [token, subscription] : subscriptions_)
            if (const auto done = each(subscription.fd()); !done && all)
                all = done;
        return all;
    }

private:
    std::map<Token, Subscription> subscriptions_;
};

} // namespace evfd::daemon
