// The part of the registry that deals with timers: arming, and what happens at an expiry.
#include "common/limits.h"
#include "daemon/base/log.h"
#include "daemon/objects/registry.h"

#include <algorithm>

namespace evfd::daemon {

namespace {

// What an event can be behind; more than that is not made up for.
constexpr std::int64_t max_tokens_owed = 10'000'000;

// Of how many the vault can keep a plan.
std::int64_t most_at_once(const Object& event)
{
    const auto* followers = event.followers();
    const auto each = followers ? static_cast<std::int64_t>(followers->size()) : 1;
    return std::max<std::int64_t>(max_tokens_per_set / std::max<std::int64_t>(each, 1), 1);
}

// Of one that sets an event. What expires once counts as one.
std::int64_t ticks_per_second(const Schedule& schedule)
{
    constexpr nanoseconds second = std::chrono::seconds{1};
    return schedule.is_once() ? 1 : std::max<std::int64_t>(second / schedule.interval, 1);
}

} // namespace

// Arming.

Outcome<Timer*> Registry::find_timer(const Peer& peer, const Name& name)
{
    const auto object = find_for(peer, name, Right::set);
    if (!object)
        return std::unexpected(object.error());
    if (auto* timer = (*object)->timer())
        return timer;
    return std::unexpected(refuse::wrong_kind(name, (*object)->described(), "a timer"));
}

Outcome<std::optional<Timer::Link>> Registry::find_link(const Peer& peer,
                                                        const protocol::Arm& request, Leave leave)
{
    if (!request.sets)
        return std::nullopt;
    const auto event = find_for(peer, *request.sets, Right::set, leave);
    if (!event)
        return std::unexpected(event.error());
    if ((*event)->timer())
        return std::unexpected(
            refuse::wrong_kind(*request.sets, (*event)->described(), "an event"));
    if (!peer.is_user_mapped)
        return std::unexpected(refuse::unmapped_user(*request.sets, Right::set));
    auto armer = peer;
    if (armer.uid == 0)
        armer.groups.clear(); // It may all without them.
    if (armer.groups.size() > max_groups_of_armer)
        return std::unexpected(refuse::too_many_groups(*request.sets));
    return Timer::Link{.event = *request.sets,
                       .serial = (*event)->serial,
                       .armer = std::move(armer),
                       .is_declared = leave == Leave::given};
}

Outcome<bool> Registry::arm(Session& session, const protocol::Arm& request, Leave leave,
                            std::optional<Processes::Stay> process)
{
    const bool is_there = find(request.name) != nullptr;
    if (!is_there)
        if (auto permitted = permit(session.peer, request.name, nullptr, Right::create, leave);
            !permitted)
            return std::unexpected(std::move(permitted.error()));
    const auto timer = is_there ? find_timer(session.peer, request.name) : Outcome<Timer*>{};
    if (!timer)
        return std::unexpected(timer.error());
    const auto arming = plan(request, is_there ? std::optional{(*timer)->clock()} : std::nullopt);
    if (!arming)
        return std::unexpected(protocol::InvalidParameter{arming.error().name});
    if (is_alarm(arming->clock) && !may_wake_machine(session.peer))
        return std::unexpected(refuse::not_yours_to_wake(arming->clock));
    auto link = find_link(session.peer, request, leave);
    if (!link)
        return std::unexpected(std::move(link.error()));
    if (is_there && !(*timer)->can_be_armed_with(*arming))
        return std::unexpected(refuse::clock_in_use(
            request.name, (*timer)->arming().descriptor_clock(), arming->descriptor_clock()));
    if (const auto prepared = timetable_.prepare(arming->schedule.clock); !prepared)
        return std::unexpected(refuse::no_clock(arming->clock, prepared.error()));

    if (arming->cancel_on_clock_change)
        timetable_.look_at_wall_clock(); // That it was set before does not cancel this.
    if (*link)
        if (auto room = check_ticks(session.peer, request.name, arming->schedule); !room)
            return std::unexpected(std::move(room.error()));
    if (is_there) {
        const auto done = rearm(*objects_.find(request.name), *arming, *std::move(link));
        return done ? Outcome<bool>{false} : std::unexpected(done.error());
    }
    auto paid = charge(session.peer, Resource::objects);
    if (!paid)
        return std::unexpected(std::move(paid.error()));
    const auto making = begin_making(session, request.rights, request.lifetime);
    if (!making)
        return std::unexpected(making.error());
    auto& entry =
        add_object(session, request.name, *making, *std::move(paid),
                   std::make_unique<Timer>(*arming, *std::move(link)), std::move(process));
    charge_ticks(entry.second);
    audience_.created(entry.first, entry.second);
    look_from_now_on(entry);
    return true;
}

// Whoever arms it, it is its owner's.
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
        timer.link() && timer.is_armed() ? ticks_per_second(timer.arming().schedule) : 0;
    if (timer.ticks)
        timer.ticks->resize(ticks);
    else
        timer.ticks.emplace(quota_.take_again(object.ownership.owner, Resource::ticks, ticks));
}

Outcome<void> Registry::rearm(Entry& entry, const Arming& arming, std::optional<Timer::Link> link)
{
    auto& [name, object] = entry;
    look(name); // What expired until now counts for those who waited until now.
    hear();
    const auto done = object.timer()->arm(arming, std::move(link)); // The timer is, in any case.
    charge_ticks(object);
    keep(entry);
    audience_.rearmed(name, object);
    look_from_now_on(entry);
    return done ? Outcome<void>{} : std::unexpected(refuse::system_failure(done.error()));
}

Outcome<void> Registry::disarm(const Peer& peer, const Names& names)
{
    for (const auto& name : names.list)
        if (const auto timer = find_timer(peer, name); !timer)
            return std::unexpected(timer.error());
    for (const auto& name : names.list)
        look(name);
    hear();
    Outcome<void> disarmed;
    for (const auto& name : names.list) {
        auto& entry = *objects_.find(name);
        if (const auto done = entry.second.timer()->disarm(); !done && disarmed)
            disarmed = std::unexpected(refuse::system_failure(done.error()));
        charge_ticks(entry.second);
        keep(entry);
        audience_.rearmed(name, entry.second);
        look_from_now_on(entry);
    }
    return disarmed;
}

bool Registry::acknowledge(const Session& session, const Token& token)
{
    timetable_.look_at_wall_clock(); // Its holder may have heard of it before us.
    const auto following = std::ranges::find(session.followings, token, &Session::Following::token);
    auto* object = following == session.followings.end() ? nullptr : find(following->name);
    auto* timer = object ? object->timer() : nullptr;
    if (!timer || !timer->followers().has(token))
        return false;
    if (const auto done = timer->acknowledge(token); !done)
        log::error({.name = following->name.text()}, "cannot disarm a descriptor of '{}': {}",
                   following->name.text(), done.error().message());
    return true;
}

// Expiring.

// A timer counts from the moment it is armed; it goes on only if someone needs that.
void Registry::look_from_now_on(Entry& entry)
{
    reconsider(entry.first);
    look_later(entry);
}

void Registry::look_later(Entry& entry)
{
    auto& timer = *entry.second.timer();
    const auto clock = timer.arming().schedule.clock;
    const auto when = timer.next_look();
    if (when && timer.appointment && timer.appointment->is_at(clock, *when))
        return;
    timer.appointment.reset();
    if (when && timetable_.has(clock)) // An earlier daemon may have had one that we may not.
        timer.appointment.emplace(timetable_.add(clock, *when, [this, &entry] { look_at(entry); }));
}

void Registry::look(const Name& name)
{
    const auto found = objects_.find(name);
    if (found != objects_.end() && found->second.timer() && is_watched(found->second))
        look_at(*found);
}

void Registry::look_at(Entry& entry)
{
    auto& [name, object] = entry;
    auto& timer = *object.timer();
    const auto times = timer.count_new();
    // First who waits for the timer, for among them may be who waits for its event as well.
    if (times > 0 && !timer.link() && timer.keeps_count())
        keep_progress(object);
    if (times > 0)
        audience_.expired(name, object, times);
    set_linked(entry, times);
    look_later(entry);
}

void Registry::set_linked(Entry& entry, std::int64_t times)
{
    auto& [name, object] = entry;
    auto& link = object.timer()->link();
    if (!link || link->is_lost || link->owed + times == 0)
        return;
    if (is_broken(*link)) {
        log::info({.name = name.text()}, "timer '{}' sets '{}' no more: it was deleted",
                  name.text(), link->event.text());
        link->is_lost = true;
        link->owed = 0;
        keep(entry);
        reconsider(name);
        return;
    }
    if (is_denied(*link))
        return pass_over(entry);
    auto& event = *find(link->event);
    link->owed = counts(*event.mode()) ? std::min(link->owed + times, max_tokens_owed) : 1;
    const auto owner = quota_.account(object.ownership.owner);
    nanoseconds rest{1};
    if (rests_.left(owner) > nanoseconds{0})
        keep_progress(object);
    else if (!add_owed(entry, event))
        rest = try_again_after;
    link->rest = std::max(rests_.left(owner), rest);
}

// What it may not set now does not get these points later either.
void Registry::pass_over(Entry& timer)
{
    auto& [name, object] = timer;
    auto& link = *object.timer()->link();
    if (!std::exchange(link.has_reported_denial, true))
        log::info({.name = name.text(), .uid = link.armer.uid},
                  "timer '{}' does not set '{}': uid {}, which armed it, may not set that any more",
                  name.text(), link.event.text(), link.armer.uid);
    link.owed = 0;
    keep_progress(object);
}

// As many as fit in about a slice of time; the rest of what was missed comes in the next turns.
// Whether they can be kept.
bool Registry::add_owed(Entry& timer, Object& event)
{
    auto& object = timer.second;
    auto& link = *object.timer()->link();
    const auto begin = monotonic_now();
    bool goes_on = true;
    for (nanoseconds time{0}; goes_on && link.owed > 0 && time < slice;
         time = monotonic_now() - begin)
        goes_on = add_slice(timer, event);
    rests_.took(quota_.account(object.ownership.owner), monotonic_now() - begin);
    return goes_on;
}

bool Registry::add_slice(Entry& timer, Object& event)
{
    auto& [name, object] = timer;
    auto& link = *object.timer()->link();
    if (!vault_.prepare())
        return false; // After a crash it is counted anew.
    const auto tokens = link.pace.next(std::min(link.owed, most_at_once(event)));
    link.owed -= tokens;
    keep_progress(object); // With the plan to add them.
    const auto begin = monotonic_now();
    if (const auto done = add_planned({{&link.event, &event, tokens}}); !done)
        log::error({.name = name.text()}, "timer '{}' cannot set '{}': {}", name.text(),
                   link.event.text(), done.error().message());
    else
        event.last_set = LastSet{wall_now(), link.armer.uid, 0};
    link.pace.took(tokens, monotonic_now() - begin);
    return true;
}

bool Registry::is_broken(const Timer::Link& link) const
{
    const auto* event = find(link.event);
    return !event || event->serial != link.serial || event->timer();
}

bool Registry::is_denied(const Timer::Link& link) const
{
    const auto* policy = link.is_declared ? nullptr : &policy_;
    return !is_broken(link) &&
           denial(policy, link.armer, link.event, &find(link.event)->ownership, Right::set);
}

void Registry::on_clock_set()
{
    for (auto& entry : objects_) {
        auto* timer = entry.second.timer();
        if (!timer || !timer->is_cancelled_by_clock_change())
            continue;
        timer->cancel();
        keep(entry);
        audience_.cancelled(entry.first, entry.second);
        look_from_now_on(entry);
    }
}

} // namespace evfd::daemon
