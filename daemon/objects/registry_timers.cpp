// The part of the registry that arms timers and handles their expirations.
#include "common/limits.h"
#include "common/time_slice.h"
#include "daemon/base/log.h"
#include "daemon/base/on_stack.h"
#include "daemon/limits.h"
#include "daemon/objects/registry.h"

#include <algorithm>

namespace evfd::daemon {

namespace {

// Returns the largest increment that fits into one intent of the state store.
std::int64_t max_increment(const Object& event)
{
    const auto* subscriptions = event.subscriptions();
    const auto each = subscriptions ? static_cast<std::int64_t>(subscriptions->size()) : 1;
    return std::max<std::int64_t>(max_tokens_per_set / std::max<std::int64_t>(each, 1), 1);
}

// Returns how often the timer sets its event; a timer that expires once counts as one.
std::int64_t ticks_per_second(const Schedule& schedule)
{
    constexpr nanoseconds second = std::chrono::seconds{1};
    return schedule.is_once() ? 1 : std::max<std::int64_t>(second / schedule.interval, 1);
}

} // namespace

// Arming.

Outcome<Timer*> Registry::find_authorized_timer(const Peer& peer, const Item& item)
{
    const auto object = find_authorized(peer, item, Permission::set);
    if (!object)
        return std::unexpected(object.error());
    if (auto* timer = (*object)->timer())
        return timer;
    return std::unexpected(refuse::wrong_kind(item.name, (*object)->description(), "a timer"));
}

Outcome<std::optional<Timer::Target>>
Registry::resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check)
{
    if (!request.sets)
        return std::nullopt;
    const auto event = find_authorized(peer, *request.sets, Permission::set, policy_check);
    if (!event)
        return std::unexpected(event.error());
    if ((*event)->timer())
        return std::unexpected(
            refuse::wrong_kind(*request.sets, (*event)->description(), "an event"));
    if (!peer.is_user_mapped)
        return std::unexpected(refuse::unmapped_user(*request.sets, Permission::set));
    auto armer = peer;
    if (armer.uid == 0)
        armer.groups.clear(); // Root needs no group.
    if (armer.groups.size() > max_arming_groups)
        return std::unexpected(refuse::too_many_groups(*request.sets));
    return Timer::Target{.event = *request.sets,
                         .serial = (*event)->serial,
                         .armer = std::move(armer),
                         .is_declared = policy_check == PolicyCheck::skip};
}

Outcome<Made> Registry::arm(Session& session, const protocol::Arm& request,
                            const Delivered& delivered, PolicyCheck policy_check,
                            std::optional<ProcessWatcher::Ref> process,
                            std::optional<std::uint64_t> id)
{
    const OnStack<Registry> entered;
    const bool exists = find(request.name) != nullptr;
    if (!exists && request.id)
        return std::unexpected(refuse::no_such_name(request.name));
    if (!exists)
        if (auto permitted =
                authorize(session.peer, request.name, nullptr, Permission::create, policy_check);
            !permitted)
            return std::unexpected(std::move(permitted.error()));
    const auto timer = exists ? find_authorized_timer(session.peer, {request.name, request.id})
                              : Outcome<Timer*>{};
    if (!timer)
        return std::unexpected(timer.error());
    const auto spec =
        resolve_spec(request, exists ? std::optional{(*timer)->clock()} : std::nullopt);
    if (!spec)
        return std::unexpected(protocol::InvalidParameter{spec.error().name});
    if (is_alarm(spec->clock) && !may_wake_machine(session.peer))
        return std::unexpected(refuse::wake_not_permitted(spec->clock));
    auto target = resolve_target(session.peer, request, policy_check);
    if (!target)
        return std::unexpected(std::move(target.error()));
    if (exists && !(*timer)->can_be_armed_with(*spec))
        return std::unexpected(refuse::clock_in_use(
            request.name, (*timer)->spec().descriptor_clock(), spec->descriptor_clock()));
    if (const auto prepared = deadlines_.prepare(spec->schedule.clock); !prepared)
        return std::unexpected(refuse::clock_unavailable(spec->clock, prepared.error()));

    if (spec->cancel_on_clock_change)
        // An earlier change of the wall clock does not cancel this timer.
        check_wall_clock();
    if (*target)
        if (auto room = check_ticks(session.peer, request.name, spec->schedule); !room)
            return std::unexpected(std::move(room.error()));
    if (exists) {
        const auto done = rearm(*objects_.find(request.name), *spec, *std::move(target), delivered);
        return done ? Outcome<Made>{Made::existed} : std::unexpected(done.error());
    }
    auto charged = charge(session.peer, Resource::objects);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    const auto draft = prepare_object(session, request.permissions, request.lifetime, id);
    if (!draft)
        return std::unexpected(draft.error());
    auto& entry =
        add_object(session, request.name, *draft, *std::move(charged),
                   std::make_unique<Timer>(*spec, *std::move(target)), std::move(process));
    charge_ticks(entry.second);
    // Counts until the waits and monitors know the timer. Then unwatch_if_unneeded() decides.
    report(ObjectChange::Kind::created, entry);
    return Made::created;
}

// Charges the owner of the timer, even if another user arms it.
Outcome<void> Registry::check_ticks(const Peer& peer, const Name& name, const Schedule& schedule)
{
    const auto* object = find(name);
    const auto owner = object ? object->ownership.owner : peer.uid;
    const auto* timer = object ? object->timer() : nullptr;
    const auto before = timer && timer->ticks ? timer->ticks->amount() : 0;
    const auto more = ticks_per_second(schedule) - before;
    const auto room = quota_.check(owner, Resource::ticks, std::max<std::int64_t>(more, 0));
    return room ? Outcome<void>{} : std::unexpected(refuse::quota_exceeded(room.error()));
}

void Registry::charge_ticks(Object& object)
{
    auto& timer = *object.timer();
    const auto ticks =
        timer.target() && timer.is_armed() ? ticks_per_second(timer.spec().schedule) : 0;
    if (timer.ticks)
        timer.ticks->resize(ticks);
    else
        timer.ticks.emplace(
            quota_.charge_unchecked(object.ownership.owner, Resource::ticks, ticks));
}

Outcome<void> Registry::rearm(Entry& entry, const TimerSpec& spec,
                              std::optional<Timer::Target> target, const Delivered&)
{
    auto& [name, object] = entry;
    // On failure the timer is armed all the same; only a descriptor is not.
    const auto done = object.timer()->arm(spec, std::move(target));
    charge_ticks(object);
    persist(entry);
    report(ObjectChange::Kind::rearmed, entry);
    unwatch_if_unneeded(entry.first);
    return done ? Outcome<void>{} : std::unexpected(refuse::system_failure(done.error()));
}

Outcome<void> Registry::disarm(const Peer& peer, const Items<Item>& items, const Delivered&)
{
    const OnStack<Registry> entered;
    for (const auto& item : items.list)
        if (const auto timer = find_authorized_timer(peer, item); !timer)
            return std::unexpected(timer.error());
    Outcome<void> disarmed;
    for (const auto& item : items.list) {
        auto& entry = *objects_.find(item.name);
        if (const auto done = entry.second.timer()->disarm(); !done && disarmed)
            disarmed = std::unexpected(refuse::system_failure(done.error()));
        charge_ticks(entry.second);
        persist(entry);
        report(ObjectChange::Kind::rearmed, entry);
        unwatch_if_unneeded(entry.first);
    }
    return disarmed;
}

bool Registry::acknowledge(const Session& session, const Token& token)
{
    const OnStack<Registry> entered;
    check_wall_clock(); // The subscriber may have learnt of it before us.
    const auto subscription =
        std::ranges::find(session.subscriptions, token, &Session::SubscriptionRef::token);
    auto* object = subscription == session.subscriptions.end() ? nullptr : find(subscription->name);
    auto* timer = object ? object->timer() : nullptr;
    if (!timer || !timer->subscriptions().has(token))
        return false;
    if (const auto done = timer->acknowledge(token); !done)
        log_.error({.name = subscription->name.text()},
                   "cannot disarm a subscriber's timerfd of '{}': {}", subscription->name.text(),
                   done.error().message());
    return true;
}

// Expiring.

void Registry::schedule_poll(Entry& entry)
{
    auto& timer = *entry.second.timer();
    const auto clock = timer.spec().schedule.clock;
    const auto when = timer.next_poll();
    if (when && timer.deadline && timer.deadline->is_at(clock, *when))
        return;
    timer.deadline.reset();
    if (when && deadlines_.has(clock)) // An earlier daemon may have used a clock that we may not.
        timer.deadline.emplace(deadlines_.add(clock, *when,
                                              quota_.account(entry.second.ownership.owner),
                                              [this, &entry] { poll(entry); }));
}

void Registry::poll_timer(const Name& name)
{
    const auto found = objects_.find(name);
    if (found != objects_.end() && found->second.timer() && is_watched(found->second))
        poll(*found);
}

void Registry::poll(Entry& entry)
{
    auto& [name, object] = entry;
    auto& timer = *object.timer();
    const auto times = timer.take_new_expirations();
    if (times > 0 && !timer.target() && timer.persists_count())
        persist_counters(object);
    if (times > 0) {
        if (object.interests > 0)
            collect_edges(); // Earlier waits come first if they wait for something else, too.
        report(ObjectChange::Kind::expired, entry, times);
    }
    // Reported before its event is set: some waits may wait for both.
    fire_target(entry, times);
    schedule_poll(entry);
}

void Registry::fire_target(Entry& entry, std::int64_t times)
{
    auto& [name, object] = entry;
    auto& target = object.timer()->target();
    if (!target || target->is_gone || target->backlog + times == 0)
        return;
    if (is_target_gone(*target)) {
        log_.info({.name = name.text()}, "timer '{}' no longer sets '{}': the event was deleted",
                  name.text(), target->event.text());
        target->is_gone = true;
        target->backlog = 0;
        persist(entry);
        unwatch_if_unneeded(name);
        return;
    }
    if (is_target_denied(*target))
        return skip_target(entry);
    auto& event = *find(target->event);
    target->backlog =
        accumulates(*event.mode()) ? std::min(target->backlog + times, max_backlog_tokens) : 1;
    const auto owner = quota_.account(object.ownership.owner);
    nanoseconds cooldown{1};
    if (cooldowns_.remaining(owner) > nanoseconds{0})
        persist_counters(object);
    else if (!drain_backlog(entry, event))
        cooldown = commit_retry_interval;
    target->cooldown = std::max(cooldowns_.remaining(owner), cooldown);
}

// Drops these expirations: an event that may not be set now does not get them later either.
void Registry::skip_target(Entry& timer)
{
    auto& [name, object] = timer;
    auto& target = *object.timer()->target();
    if (!std::exchange(target.has_logged_denial, true))
        log_.info({.name = name.text(), .uid = target.armer.uid},
                  "timer '{}' does not set '{}': uid {}, which armed it, has lost the permission",
                  name.text(), target.event.text(), target.armer.uid);
    target.backlog = 0;
    persist_counters(object);
}

// Adds what fits into about one time slice; the rest follows in later iterations. Returns false if
// the state store cannot record it.
bool Registry::drain_backlog(Entry& timer, Object& event)
{
    auto& object = timer.second;
    auto& target = *object.timer()->target();
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

bool Registry::add_batch(Entry& timer, Object& event)
{
    auto& [name, object] = timer;
    auto& target = *object.timer()->target();
    if (!state_store_.prepare())
        return false; // After a crash these expirations are counted again.
    const auto tokens =
        target.batch_sizer.next_batch(std::min(target.backlog, max_increment(event)));
    target.backlog -= tokens;
    persist_counters(object); // Committed together with the intent to add them.
    const auto begin = monotonic_now();
    if (const auto done = apply_logged({{&target.event, &event, tokens}}); !done)
        log_.error({.name = name.text()}, "timer '{}' cannot set '{}': {}", name.text(),
                   target.event.text(), done.error().message());
    else
        event.last_set = LastSet{wall_now(), target.armer.uid, 0};
    target.batch_sizer.record(tokens, monotonic_now() - begin);
    return true;
}

bool Registry::is_target_gone(const Timer::Target& target) const
{
    const auto* event = find(target.event);
    return !event || event->serial != target.serial || event->timer();
}

bool Registry::is_target_denied(const Timer::Target& target) const
{
    const auto* policy = target.is_declared ? nullptr : &policy_;
    return !is_target_gone(target) && check_access(policy, target.armer, target.event,
                                                   &find(target.event)->ownership, Permission::set);
}

void Registry::check_wall_clock()
{
    if (deadlines_.check_wall_clock())
        on_clock_set();
}

void Registry::on_clock_set()
{
    for (auto& entry : objects_) {
        auto* timer = entry.second.timer();
        if (!timer || !timer->is_cancelled_by_clock_change())
            continue;
        timer->cancel();
        persist(entry);
        report(ObjectChange::Kind::cancelled, entry);
        unwatch_if_unneeded(entry.first);
    }
}

} // namespace evfd::daemon
