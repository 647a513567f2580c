#include "daemon/objects/timer_driver.h"

#include "common/limits.h"
#include "common/time_slice.h"
#include "daemon/base/on_stack.h"
#include "daemon/limits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

// Returns the largest increment that fits into one intent of the state store. A number needs no
// intent, so it gets all tokens at once.
std::int64_t max_increment(const Object& event)
{
    const auto each = count_increments(event, 1);
    return each == 0 ? max_backlog_tokens : std::max<std::int64_t>(max_tokens_per_set / each, 1);
}

} // namespace

TimerDriver::TimerDriver(EventLoop& loop, ObjectTable& objects, Authorization& authorization,
                         EventWatches& events, Setting& setting, Quota& quota,
                         StateStore& state_store, std::function<void()> deliver)
    : objects_{objects}, authorization_{authorization}, events_{events}, setting_{setting},
      quota_{quota}, state_store_{state_store},
      deadlines_{loop, std::move(deliver),
                 [this](uid_t payer, nanoseconds used) { cooldowns_.charge(payer, used); },
                 [this] { on_clock_set(); }}
{
}

void TimerDriver::watch(Entry& entry)
{
    auto& timer = *entry.second.timer();
    if (timer.counted())
        return;
    timer.start_counting();
    schedule_poll(entry);
}

void TimerDriver::unwatch_if_unneeded(Entry& entry)
{
    auto& timer = *entry.second.timer();
    if (!is_needed(entry.second) && !timer.must_count())
        timer.stop_counting();
    schedule_poll(entry);
}

void TimerDriver::schedule_poll(Entry& entry)
{
    auto& timer = *entry.second.timer();
    const auto clock = timer.spec().schedule.clock;
    const auto when = timer.next_poll();
    if (when && timer.deadline && timer.deadline->is_at(clock, *when))
        return;
    timer.deadline.reset();
    // A recovered timer can have a clock that this daemon is not permitted to use. There is no
    // queue for that clock, so the timer gets no deadline.
    if (when && deadlines_.has(clock))
        timer.deadline.emplace(deadlines_.add(clock, *when,
                                              quota_.account(entry.second.ownership.owner),
                                              [this, &entry] { poll(entry); }));
}

void TimerDriver::poll(const Name& name)
{
    if (auto* object = objects_.find(name); object && object->timer() && is_watched(*object))
        poll(objects_.entry(name));
}

void TimerDriver::poll(Entry& entry)
{
    const OnStack<TimerDriver> entered;
    auto& object = entry.second;
    auto& timer = *object.timer();
    const auto times = timer.take_new_expirations();
    if (times > 0 && !timer.target && timer.persists_count())
        objects_.persist_counters(object);
    if (times > 0) {
        if (object.interests > 0)
            // Reports earlier edges before the expiration, so that a wait for several objects gets
            // the changes in the order in which they happened.
            events_.collect();
        objects_.report(ObjectChange::Kind::expired, entry, times);
    }
    // The expiration is reported before the timer's event is set, so that a wait for the timer and
    // the event gets the changes in this order.
    fire_target(entry, times);
    schedule_poll(entry);
}

void TimerDriver::fire_target(Entry& entry, std::int64_t times)
{
    auto& [name, object] = entry;
    auto& target = object.timer()->target;
    if (!target || target->is_gone || target->backlog + times == 0)
        return;
    if (is_target_gone(*target)) {
        log_.info({.name = name.text()}, "timer '{}' no longer sets '{}': the event was deleted",
                  name.text(), target->event.text());
        target->is_gone = true;
        target->backlog = 0;
        objects_.persist(entry);
        unwatch_if_unneeded(entry);
        return;
    }
    if (is_target_denied(*target))
        return skip_target(entry);
    auto& event = *objects_.find(target->event);
    target->backlog =
        accumulates(*event.mode()) ? std::min(target->backlog + times, max_backlog_tokens) : 1;
    const auto owner = quota_.account(object.ownership.owner);
    nanoseconds cooldown{1};
    if (cooldowns_.remaining(owner) > nanoseconds{0})
        objects_.persist_counters(object);
    else if (!drain_backlog(entry, event))
        cooldown = commit_retry_interval;
    target->cooldown = std::max(cooldowns_.remaining(owner), cooldown);
}

// Drops the expirations of a timer whose armer has lost the permission to set the event. The event
// does not get these expirations later, even if the armer gets the permission back.
void TimerDriver::skip_target(Entry& timer)
{
    auto& [name, object] = timer;
    auto& target = *object.timer()->target;
    if (!std::exchange(target.has_logged_denial, true))
        log_.info({.name = name.text(), .uid = target.armer.uid},
                  "timer '{}' does not set '{}': uid {}, which armed it, has lost the permission",
                  name.text(), target.event.text(), target.armer.uid);
    target.backlog = 0;
    objects_.persist_counters(object);
}

// Adds as much of the backlog as fits into about one time slice. The rest of the backlog follows in
// later iterations of the event loop. Returns false if the state store has no room to record the
// increments.
bool TimerDriver::drain_backlog(Entry& timer, Object& event)
{
    auto& object = timer.second;
    auto& target = *object.timer()->target;
    const TimeSlice slice{time_slice};
    bool can_continue = true;
    while (can_continue && target.backlog > 0) {
        can_continue = add_batch(timer, event);
        if (!slice.left())
            break;
    }
    cooldowns_.charge(quota_.account(object.ownership.owner), slice.used());
    return can_continue;
}

bool TimerDriver::add_batch(Entry& timer, Object& event)
{
    auto& [name, object] = timer;
    auto& target = *object.timer()->target;
    if (!state_store_.prepare())
        // Nothing is added yet. If the daemon crashes now, the next daemon counts these expirations
        // again.
        return false;
    const auto most = std::min(target.backlog, max_increment(event));
    const bool is_quick = count_increments(event, 1) == 0;
    const auto tokens = is_quick ? most : target.batch_sizer.next_batch(most);
    target.backlog -= tokens;
    // The backlog no longer contains the tokens of this batch. The new backlog is committed
    // together with the intent to add the tokens.
    objects_.persist_counters(object);
    const auto begin = monotonic_now();
    if (const auto done = setting_.add_for_timer({&target.event, &event, tokens}, target.armer.uid);
        !done)
        log_.error({.name = name.text()}, "timer '{}' cannot set '{}': {}", name.text(),
                   target.event.text(), done.error().message());
    if (!is_quick)
        target.batch_sizer.record(tokens, monotonic_now() - begin);
    return true;
}

bool TimerDriver::is_target_gone(const Timer::Target& target) const
{
    const auto* event = std::as_const(objects_).find(target.event);
    return !event || event->serial != target.serial || event->timer();
}

bool TimerDriver::is_target_denied(const Timer::Target& target) const
{
    const auto* policy = target.is_declared ? nullptr : &authorization_.policy();
    return !is_target_gone(target) &&
           check_access(policy, target.armer, target.event, &objects_.find(target.event)->ownership,
                        Permission::set);
}

bool TimerDriver::acknowledge(const Session& session, const Token& token)
{
    check_wall_clock(); // The subscriber can have noticed a clock change before the daemon.
    const auto subscription =
        std::ranges::find(session.subscriptions, token, &Session::SubscriptionRef::token);
    const auto* object =
        subscription == session.subscriptions.end() ? nullptr : objects_.find(subscription->name);
    const auto* timer = object ? object->timer() : nullptr;
    if (!timer || !timer->subscriptions.has(token))
        return false;
    if (const auto done = timer->acknowledge(token); !done)
        log_.error({.name = subscription->name.text()},
                   "cannot disarm a subscriber's timerfd of '{}': {}", subscription->name.text(),
                   done.error().message());
    return true;
}

void TimerDriver::check_wall_clock()
{
    if (deadlines_.check_wall_clock())
        on_clock_set();
}

void TimerDriver::on_clock_set()
{
    const OnStack<TimerDriver> entered;
    for (auto& entry : objects_.all()) {
        auto* timer = entry.second.timer();
        if (!timer || !timer->cancel_by_clock_change())
            continue;
        objects_.persist(entry);
        objects_.report(ObjectChange::Kind::cancelled, entry);
        unwatch_if_unneeded(entry);
    }
}

} // namespace evfd::daemon
