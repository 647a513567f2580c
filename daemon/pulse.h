// An event of the moment: a set reaches those who follow it then, each in a descriptor of its own,
// which counts. It has no state but who follows it.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/adder.h"
#include "daemon/subscription.h"

#include <cstdint>
#include <map>

namespace evfd::daemon {

class Pulse {
public:
    std::int64_t pulses() const { return pulses_; }
    std::size_t subscriptions() const { return followers_.size(); }

    // Every follower's descriptor counts `times` more.
    Result<void> set(std::int64_t times, const Adder& adder);

    // The follower's descriptor; it follows until unsubscribe().
    Result<UniqueFd> subscribe(const Token& token, Quota::Charge charge);
    bool has(const Token& token) const { return followers_.contains(token); }
    bool unsubscribe(const Token& token) { return followers_.erase(token) > 0; }

private:
    std::int64_t pulses_ = 0;
    std::map<Token, Subscription> followers_;
};

} // namespace evfd::daemon
