// TimerDriver: notices that timers expire, and sets the target events of the timers.
//
// A timer is polled only while something needs its expirations: a waiter, a monitor or the event
// that the timer sets. Even if nothing needs the expirations, an armed timer has a deadline if it
// is on an alarm clock, or if a change of the wall clock cancels it. Each poll appends the
// expirations since the previous poll to the changes of the object table.
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
    // The DeadlineQueue calls `deliver` after each task that it runs, and after it calls
    // on_clock_set(). No function of this class calls `deliver`.
    TimerDriver(EventLoop& loop, ObjectTable& objects, Authorization& authorization,
                EventWatches& events, Setting& setting, Quota& quota, StateStore& state_store,
                std::function<void()> deliver);
    TimerDriver(const TimerDriver&) = delete;

    // Prepares deadlines on this clock. Fails if the clock does not exist, or if the daemon is not
    // permitted to use it.
    Result<void> prepare(Clock clock) { return deadlines_.prepare(clock); }
    // Watches the timer. The daemon counts the expirations of the timer from now on.
    void watch(ObjectTable::Entry& timer);
    // Stops counting the expirations unless something needs the count, and schedules the next poll
    // of the timer. Must be called after each change of the timer.
    void unwatch_if_unneeded(ObjectTable::Entry& timer);
    // Reports how often a watched timer has expired since its last poll. Does nothing if no watched
    // timer has this name.
    void poll(const Name& name);
    // Checks whether the wall clock was set. If so, cancels the timers that have
    // cancel_on_clock_change.
    void check_wall_clock();
    // Disarms the timerfd of a subscriber that has read ECANCELED from the timerfd. `token` names
    // the subscription. Returns false if the session has no such subscription to a timer.
    bool acknowledge(const Session& session, const Token& token);

    // Returns whether the event that a timer sets was deleted.
    bool is_target_gone(const Timer::Target& target) const;
    // Returns whether the user who armed the timer has lost the permission to set the event.
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
    Cooldowns cooldowns_; // Pauses a user's timers after they took too long to set their events.
    DeadlineQueue deadlines_;
};

} // namespace evfd::daemon
