// An event of the moment: a set reaches those who follow it then, each in a descriptor of its own,
// which counts. It has no state but who follows it.
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/adder.h"
#include "daemon/followers.h"

#include <cstdint>

namespace evfd::daemon {

class Pulse {
public:
    std::int64_t pulses() const { return pulses_; }
    Followers& followers() { return followers_; }
    const Followers& followers() const { return followers_; }

    // Every follower's descriptor counts `times` more.
    Result<void> set(std::int64_t times, const Adder& adder);

    // The follower's descriptor.
    Result<UniqueFd> subscribe(const Token& token, Quota::Charge charge);

private:
    std::int64_t pulses_ = 0;
    Followers followers_;
};

} // namespace evfd::daemon
