// The subscriptions to one object, by token.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/objects/subscription.h"

#include <map>
#include <optional>
#include <vector>

namespace evfd::daemon {

class SubscriptionTable {
public:
    // Adds a subscription, which lasts until remove().
    void add(const Token& token, Subscription subscription);
    bool has(const Token& token) const { return subscriptions_.contains(token); }
    // Returns null if there is no such subscription.
    const Subscription* find(const Token& token) const;
    bool remove(const Token& token);
    std::size_t size() const { return subscriptions_.size(); }
    const std::map<Token, Subscription>& all() const { return subscriptions_; }

    // The descriptors of all subscriptions, in the order of the tokens.
    struct Descriptors {
        std::vector<int> persistent; // The descriptors that the state store keeps.
        std::vector<int> others;
    };
    // The result is valid until the next call of add() or remove().
    const Descriptors& descriptors() const;

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
    // The result of descriptors(). Each add() and remove() discards it. A set of a pulse with
    // thousands of subscribers reads this list, because the walk through the map takes longer.
    mutable std::optional<Descriptors> descriptors_;
};

} // namespace evfd::daemon
