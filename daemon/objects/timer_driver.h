// TimerDriver: notices that timers expire, and sets the events that they set.
//
// A timer is polled only while something needs its expirations: a waiter, a monitor, the event that
// it sets, an alarm clock, or a change of the clock that cancels it. Each poll appends the
// expirations since the last one to the changes.
#pragma once

#include "common/name.h"
#include "common/result.h"
#include "daemon/access/quota.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/cooldowns.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/session.h"
#include "daemon/objects/setting.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <functional>

namespace evfd::daemon {

class TimerDriver {
public:
    // `deliver` is called by the loop, never by a function of this class, after deadlines.
    TimerDriver(EventLoop& loop, ObjectTable& objects, Authorization& authorization,
                EventWatches& events, Setting& setting, Quota& quota, StateStore& state_store,
                std::function<void()> deliver);
    TimerDriver(const TimerDriver&) = delete;
    TimerDriver& operator=(const TimerDriver&) = delete;

    // Prepares deadlines on this clock, which may not exist or not be permitted.
    Result<void> prepare(Clock clock) { return deadlines_.prepare(clock); }
    // Watches the timer: counts its expirations from now on.
    void watch(ObjectTable::Entry& timer);
    // Stops counting unless something needs the count, and polls the timer at the right time from
    // now on. Called after each change of the timer.
    void unwatch_if_unneeded(ObjectTable::Entry& timer);
    // Reports how often a watched timer expired since the last poll. Any other name has no effect.
    void poll(const Name& name);
    // Cancels timers if the wall clock was set.
    void check_wall_clock();
    // Acknowledges that a timer was cancelled. Returns whether the session has that subscription,
    // to a timer.
    bool acknowledge(const Session& session, const Token& token);

    // Returns whether the event that a timer sets was deleted; or whether the timer's armer has
    // lost the permission to set it.
    bool is_target_gone(const Timer::Target& target) const;
    bool is_target_denied(const Timer::Target& target) const;

private:
    using Entry = ObjectTable::Entry;

    void schedule_poll(Entry& timer);
    void poll(Entry& timer);
    void fire_target(Entry& timer, std::int64_t times);
    void skip_target(Entry& timer);
    bool drain_backlog(Entry& timer, Object& event);
    bool add_batch(Entry& timer, Object& event);
    void on_clock_set();

    ObjectTable& objects_;
    Authorization& authorization_;
    EventWatches& events_;
    Setting& setting_;
    Quota& quota_;
    StateStore& state_store_;
    log::Limited log_;
    Cooldowns cooldowns_; // Pauses users whose timers took long to set their events.
    DeadlineQueue deadlines_;
};

} // namespace evfd::daemon
