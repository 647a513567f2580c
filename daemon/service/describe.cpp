#include "daemon/service/describe.h"

#include <fmt/format.h>

#include <limits>
#include <optional>

namespace evfd::daemon {

namespace {

protocol::Timer describe(const Registry& registry, const Timer& timer)
{
    const auto& spec = timer.spec();
    const auto& schedule = spec.schedule;
    const auto now = now_on(schedule.clock);
    protocol::Timer described{
        .clock = spec.clock,
        .state = timer.state_at(now),
        .moves_with_wall_clock = is_wall_clock(schedule.clock),
        .interval = schedule.interval,
        .expirations = 0,
        .first_was_past = spec.was_past,
        .cancel_on_clock_change = spec.cancel_on_clock_change,
    };
    if (described.state == TimerState::armed || described.state == TimerState::expired)
        described.expirations = schedule.expirations_by(now);
    if (const auto next = schedule.next_after(now); next && described.state == TimerState::armed) {
        described.left = *next - now;
        // If a timer was armed with a relative time on the wall clock, its schedule uses another
        // clock. The next expiration is then converted to the clock that the request named.
        described.next = spec.clock == schedule.clock
                             ? *next
                             : add_saturating(now_on(spec.clock), *described.left);
    }
    if (timer.target) {
        described.sets = timer.target->event;
        described.is_target_deleted = registry.timers.is_target_gone(*timer.target);
        described.is_target_denied = registry.timers.is_target_denied(*timer.target);
    }
    return described;
}

} // namespace

protocol::Object describe(Registry& registry, const Waits& waits, const Peer& peer,
                          const Name& name, Object& object)
{
    protocol::Object described{
        .name = name,
        .id = id_of(object),
        .kind = object.kind(),
        .mode = object.mode(),
        .owner_uid = object.ownership.owner,
        .group_gid = object.ownership.group,
        .creator_pid = object.creator,
        .created_at = object.created,
        .permissions = object.ownership.permissions,
        .lifetime = object.lifetime,
        .waits = waits.waiter_count(name),
    };
    if (!registry.authorization.is_allowed(peer, name, object, Permission::wait))
        return described;
    if (const auto& last = object.last_set)
        described.last_set = {last.at, last.uid,
                              last.pid == 0 ? std::nullopt : std::optional<std::int64_t>{last.pid}};
    if (const auto* subscriptions = object.subscriptions())
        described.subscribers = static_cast<std::int64_t>(subscriptions->size());
    if (const auto* timer = object.timer()) {
        described.timer = describe(registry, *timer);
        described.is_set = described.timer->state == TimerState::expired;
        return described;
    }
    if (const auto* pulse = object.pulse()) {
        described.is_set = false;
        described.pulses = pulse->pulses();
        return described;
    }
    // A single read of the state gives `is_set` and `count`, so that the two values agree. The
    // state of an eventfd is in /proc/self/fdinfo, and the read needs a free descriptor. If the
    // daemon has none, the description has no count.
    const auto shown = object.event()->state();
    described.is_set = shown ? shown->count > 0 : object.event()->is_set();
    if (!shown)
        return described;
    if (shown->count <= std::numeric_limits<std::int64_t>::max())
        described.count = static_cast<std::int64_t>(shown->count);
    else
        described.large_count = fmt::to_string(shown->count);
    if (shown->count >= max_count)
        registry.edges.warn_once(name, object, Misuse::counter_full);
    if (shown->is_blocking)
        registry.edges.warn_once(name, object, Misuse::blocking);
    return described;
}

} // namespace evfd::daemon
