// Pulse: an event without a state. A set reaches the clients that are subscribed at that moment.
// Each subscriber has a private eventfd, which counts the pulses.
#pragma once

#include "common/eventfd.h"
#include "common/limits.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/access/shared_pool.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/subscription_table.h"

#include <cstdint>
#include <expected>
#include <memory>
#include <vector>

namespace evfd::daemon {

class Pulse {
public:
    Pulse() = default;
    Pulse(Pulse&&) = default;
    // Not assignable: an assignment would destroy the pool of places while the old subscriptions
    // still have charges of that pool.
    Pulse& operator=(Pulse&&) = delete;

    std::int64_t pulses() const { return pulses_; }
    SubscriptionTable& subscriptions() { return subscriptions_; }
    const SubscriptionTable& subscriptions() const { return subscriptions_; }

    // Lists the eventfds that a set increments: appends the eventfd of each subscriber `times`
    // times. The eventfds that the state store keeps go to `persistent`, all others to `others`.
    // The order does not change while the subscribers do not change. A later daemon can therefore
    // continue a set that a crash interrupted. This function does not count the pulses: see
    // set_pulses().
    void append_targets(std::int64_t times, std::vector<int>& persistent,
                        std::vector<int>& others) const;
    void set_pulses(std::int64_t pulses) { pulses_ = pulses; }

    // Takes a place for a new subscriber. A pulse has max_tokens_per_set places: each set adds a
    // token for each subscriber, and one call can add at most max_tokens_per_set tokens.
    std::expected<SharedPool::Charge, SharedPool::Shortage> take_place(const Payer& payer)
    {
        return places_->take(payer);
    }
    SharedPool::Charge take_place_unchecked(const Payer& payer)
    {
        return places_->take_unchecked(payer);
    }
    std::int64_t places_of(const Payer& payer) const { return places_->used_by(payer); }

    // Creates the eventfd of a new subscription.
    static Result<UniqueFd> make_descriptor() { return make_eventfd(0, Counter::plain); }

private:
    std::int64_t pulses_ = 0;
    // The places for subscribers. Each subscription returns its place to this pool when it is
    // destroyed, so the pool is declared before the subscriptions and destroyed after them.
    std::unique_ptr<SharedPool> places_ = std::make_unique<SharedPool>(max_tokens_per_set);
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
