// An event of the moment: a set reaches those who follow it then, each in a descriptor of its own,
// which counts. It has no state but who follows it.
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

    // Every follower's descriptor counts `times` more.
    Result<void> set(std::int64_t times, const EventfdIncrementer& incrementer);
    // What set() adds, as one eventfd for each time it adds 1, apart for those in the vault; the
    // same followers make the same list. count() is left to the caller.
    void append_targets(std::int64_t times, std::vector<int>& persistent,
                        std::vector<int>& others) const;
    void count(std::int64_t times) { pulses_ += times; }

    // A descriptor that can follow it.
    static Result<UniqueFd> make_descriptor() { return make_eventfd(0, Counter::plain); }

private:
    std::int64_t pulses_ = 0;
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
