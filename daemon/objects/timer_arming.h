// TimerArming: arms and disarms timers for a call.
//
// Everything for which a call can be refused is checked before the first change.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/lifetimes.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/timer_driver.h"

#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

class TimerArming {
public:
    TimerArming(ObjectTable& objects, Authorization& authorization, Lifetimes& lifetimes,
                TimerDriver& timers, Quota& quota)
        : objects_{objects}, authorization_{authorization}, lifetimes_{lifetimes}, timers_{timers},
          quota_{quota}
    {
    }
    TimerArming(const TimerArming&) = delete;

    // Creates the timer and arms it, or arms the timer again if it exists already.
    Outcome<Made> arm(Creation creation, const protocol::Arm& request, const Delivered& delivered);
    // Disarms all of the timers, or none if one is refused.
    Outcome<void> disarm(const Peer& peer, const Items<Item>& items, const Delivered& delivered);
    // Starts a timer of an earlier daemon. `missed_clock_change` says that the wall clock was set
    // since the earlier daemon recorded the timer. Appends a sentence to `warnings` for each thing
    // that cannot be done.
    void adopt(ObjectTable::Entry& timer, bool missed_clock_change,
               std::vector<std::string>& warnings);

private:
    Outcome<void> check_creation(const Creation& creation, const protocol::Arm& request);
    Outcome<std::optional<Timer::Target>>
    resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check);
    Outcome<void> check_clock(const Name& name, const Timer* timer, const TimerSpec& spec);
    Outcome<void> check_ticks(const Peer& peer, const Name& name, const Schedule& schedule);
    void charge_ticks(Object& object);
    Outcome<void> rearm(ObjectTable::Entry& entry, const TimerSpec& spec,
                        std::optional<Timer::Target> target);
    // Must be called after Timer::arm() or Timer::disarm(). Updates the charge, the record and the
    // next poll of the timer, and reports the change.
    void apply_change(ObjectTable::Entry& entry);

    ObjectTable& objects_;
    Authorization& authorization_;
    Lifetimes& lifetimes_;
    TimerDriver& timers_;
    Quota& quota_;
};

} // namespace evfd::daemon
