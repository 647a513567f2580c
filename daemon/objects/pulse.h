// An event without a state: a set reaches the clients that are subscribed at that moment. Each
// subscriber has a private eventfd, which counts the pulses.
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
    Pulse& operator=(Pulse&&) = delete; // The subscriptions must end before the places.

    std::int64_t pulses() const { return pulses_; }
    SubscriptionTable& subscriptions() { return subscriptions_; }
    const SubscriptionTable& subscriptions() const { return subscriptions_; }

    // Appends the eventfd of each subscriber `times` times: once for each increment that a set
    // makes. The eventfds that the state store keeps go to `persistent`, all others to `others`.
    // The same subscribers always give the same list. The caller calls count().
    void append_targets(std::int64_t times, std::vector<int>& persistent,
                        std::vector<int>& others) const;
    void count(std::int64_t times) { pulses_ += times; }

    // Takes the place of a new subscriber. A pulse may have as many subscribers as one call can
    // set; with more, no call could set it.
    std::expected<SharedPool::Charge, SharedPool::Shortage> take_place(const Payer& payer)
    {
        return places_->take(payer);
    }
    SharedPool::Charge take_place_unchecked(const Payer& payer)
    {
        return places_->take_unchecked(payer);
    }
    std::int64_t places_of(const Payer& payer) const { return places_->used_by(payer); }

    // Returns a descriptor for a new subscription.
    static Result<UniqueFd> make_descriptor() { return make_eventfd(0, Counter::plain); }

private:
    std::int64_t pulses_ = 0;
    // Declared before the subscriptions, which hold its charges.
    std::unique_ptr<SharedPool> places_ = std::make_unique<SharedPool>(max_tokens_per_set);
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
