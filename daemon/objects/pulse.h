// An event without a state: a set reaches the clients that are subscribed at that moment. Each
// subscriber has a private eventfd, which counts the pulses.
#pragma once

#include "common/eventfd.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/subscription_table.h"

#include <cstdint>
#include <vector>

namespace evfd::daemon {

class Pulse {
public:
    std::int64_t pulses() const { return pulses_; }
    SubscriptionTable& subscriptions() { return subscriptions_; }
    const SubscriptionTable& subscriptions() const { return subscriptions_; }

    // Adds `times` to the counter of every subscriber.
    Result<void> set(std::int64_t times, const EventfdIncrementer& incrementer);
    // Appends a subscriber's eventfd once for each increment that set() would make. The eventfds
    // that the state store keeps go to `persistent`, all others to `others`. The same subscribers
    // always give the same list. The caller calls count().
    void append_targets(std::int64_t times, std::vector<int>& persistent,
                        std::vector<int>& others) const;
    void count(std::int64_t times) { pulses_ += times; }

    // Returns a descriptor for a new subscription.
    static Result<UniqueFd> make_descriptor() { return make_eventfd(0, Counter::plain); }

private:
    std::int64_t pulses_ = 0;
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
