#include "daemon/objects/timer_arming.h"

#include "common/limits.h"
#include "daemon/base/on_stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

// Returns how many times a second a timer with this schedule sets its event, but at least 1. A
// timer that expires only once counts as 1.
std::int64_t ticks_per_second(const Schedule& schedule)
{
    constexpr nanoseconds second = std::chrono::seconds{1};
    return schedule.is_once() ? 1 : std::max<std::int64_t>(second / schedule.interval, 1);
}

} // namespace

Outcome<Made> TimerArming::arm(Creation creation, const protocol::Arm& request, const Delivered&)
{
    const OnStack<TimerArming> entered;
    const auto& peer = creation.session.peer;
    const bool exists = objects_.find(request.name) != nullptr;
    if (!exists)
        if (auto permitted = check_creation(creation, request); !permitted)
            return std::unexpected(std::move(permitted.error()));
    const auto timer = exists ? authorization_.find_timer(peer, {request.name, request.id})
                              : Outcome<Timer*>{nullptr};
    if (!timer)
        return std::unexpected(timer.error());
    const auto spec =
        resolve_spec(request, exists ? std::optional{(*timer)->spec().clock} : std::nullopt);
    if (!spec)
        return std::unexpected(protocol::InvalidParameter{spec.error().name});
    if (is_alarm(spec->clock) && !may_wake_machine(peer))
        return std::unexpected(refuse::wake_not_permitted(spec->clock));
    auto target = resolve_target(peer, request, creation.policy_check);
    if (!target)
        return std::unexpected(std::move(target.error()));
    if (auto usable = check_clock(request.name, *timer, *spec); !usable)
        return std::unexpected(std::move(usable.error()));

    if (spec->cancel_on_clock_change)
        // Handles earlier changes of the wall clock now, so that they do not cancel this timer.
        timers_.check_wall_clock();
    if (*target)
        if (auto room = check_ticks(peer, request.name, spec->schedule); !room)
            return std::unexpected(std::move(room.error()));
    if (exists) {
        const auto done = rearm(objects_.entry(request.name), *spec, *std::move(target));
        return done ? Outcome<Made>{Made::existed} : std::unexpected(done.error());
    }
    auto created = lifetimes_.create_timer(std::move(creation), request, *spec, *std::move(target));
    if (!created)
        return std::unexpected(std::move(created.error()));
    charge_ticks((*created)->second);
    return Made::created;
}

Outcome<void> TimerArming::check_creation(const Creation& creation, const protocol::Arm& request)
{
    if (request.id)
        return std::unexpected(refuse::no_such_name(request.name));
    return authorization_.check(creation.session.peer, request.name, nullptr, Permission::create,
                                creation.policy_check);
}

// Refuses a clock that the timer cannot use. `timer` is null if the timer does not exist yet.
Outcome<void> TimerArming::check_clock(const Name& name, const Timer* timer, const TimerSpec& spec)
{
    if (timer && !timer->can_be_armed_with(spec))
        return std::unexpected(
            refuse::clock_in_use(name, timer->spec().descriptor_clock(), spec.descriptor_clock()));
    if (const auto prepared = timers_.prepare(spec.schedule.clock); !prepared)
        return std::unexpected(refuse::clock_unavailable(spec.clock, prepared.error()));
    return {};
}

Outcome<std::optional<Timer::Target>> TimerArming::resolve_target(const Peer& peer,
                                                                  const protocol::Arm& request,
                                                                  PolicyCheck policy_check)
{
    if (!request.sets)
        return std::nullopt;
    const auto event = authorization_.find(peer, *request.sets, Permission::set, policy_check);
    if (!event)
        return std::unexpected(event.error());
    if ((*event)->timer())
        return std::unexpected(
            refuse::wrong_kind(*request.sets, (*event)->description(), "an event"));
    if (!peer.is_user_mapped)
        return std::unexpected(refuse::unmapped_user(*request.sets, Permission::set));
    auto armer = peer;
    if (armer.uid == 0)
        armer.groups.clear(); // Root needs no group to set an event.
    if (armer.groups.size() > max_arming_groups)
        return std::unexpected(refuse::too_many_groups(*request.sets));
    return Timer::Target{.event = *request.sets,
                         .serial = (*event)->serial,
                         .armer = std::move(armer),
                         .is_declared = policy_check == PolicyCheck::skip};
}

// Refuses the call if the timer would set its event so often that the quota of the timer's owner is
// exceeded. The owner pays, even if another user arms the timer.
Outcome<void> TimerArming::check_ticks(const Peer& peer, const Name& name, const Schedule& schedule)
{
    const auto* object = objects_.find(name);
    const auto owner = object ? object->ownership.owner : peer.uid;
    const auto* timer = object ? object->timer() : nullptr;
    const auto before = timer && timer->ticks ? timer->ticks->amount() : 0;
    const auto more = ticks_per_second(schedule) - before;
    return quota_.check(owner, Resource::ticks, std::max<std::int64_t>(more, 0));
}

void TimerArming::charge_ticks(Object& object)
{
    auto& timer = *object.timer();
    const auto ticks =
        timer.target && timer.is_armed() ? ticks_per_second(timer.spec().schedule) : 0;
    if (timer.ticks)
        timer.ticks->resize(ticks);
    else
        timer.ticks.emplace(
            quota_.charge_unchecked(object.ownership.owner, Resource::ticks, ticks));
}

Outcome<void> TimerArming::rearm(ObjectTable::Entry& entry, const TimerSpec& spec,
                                 std::optional<Timer::Target> target)
{
    // If arm() fails, the timer is armed nevertheless. The failure means that the timerfd of a
    // subscriber could not be programmed.
    const auto done = entry.second.timer()->arm(spec, std::move(target));
    apply_change(entry);
    return done;
}

void TimerArming::apply_change(ObjectTable::Entry& entry)
{
    charge_ticks(entry.second);
    objects_.persist(entry);
    objects_.report(ObjectChange::Kind::rearmed, entry);
    timers_.unwatch_if_unneeded(entry);
}

Outcome<void> TimerArming::disarm(const Peer& peer, const Items<Item>& items, const Delivered&)
{
    const OnStack<TimerArming> entered;
    for (const auto& item : items.list)
        if (const auto timer = authorization_.find_timer(peer, item); !timer)
            return std::unexpected(timer.error());
    Outcome<void> disarmed;
    for (const auto& item : items.list) {
        auto& entry = objects_.entry(item.name);
        if (const auto done = entry.second.timer()->disarm(); !done && disarmed)
            disarmed = done;
        apply_change(entry);
    }
    return disarmed;
}

void TimerArming::adopt(ObjectTable::Entry& entry, bool missed_clock_change,
                        std::vector<std::string>& warnings)
{
    auto& [name, object] = entry;
    auto& timer = *object.timer();
    if (const auto prepared = timers_.prepare(timer.spec().schedule.clock); !prepared) {
        warnings.push_back(
            fmt::format("timer '{}' is not polled: {}", name.text(), prepared.error().message()));
        return;
    }
    if (missed_clock_change && timer.cancel_by_clock_change())
        objects_.persist(entry);
    const auto checked = timer.subscriptions.for_each(
        [&](const UniqueFd& timerfd) { return timer.resync(timerfd); });
    if (!checked)
        warnings.push_back(fmt::format("cannot program a subscriber's timerfd of '{}': {}",
                                       name.text(), checked.error().message()));
    charge_ticks(object);
    timers_.unwatch_if_unneeded(entry);
}

} // namespace evfd::daemon
