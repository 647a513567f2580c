#include "daemon/waiting/delivery.h"

#include "daemon/base/on_stack.h"

namespace evfd::daemon {

using Kind = ObjectChange::Kind;

Delivered Delivery::deliver()
{
    registry_.edges.collect();
    apply();
    return registry_.objects.confirm_delivery();
}

Delivered Delivery::deliver(const Name& name)
{
    if (registry_.objects.find(name)) {
        registry_.timers.poll(name);
        return deliver();
    }
    // No object has this name, so the caller's next change cannot affect an event with a pending
    // edge. The edges are therefore not collected here.
    apply();
    return registry_.objects.confirm_delivery();
}

Delivered Delivery::deliver_before(const protocol::Wait& request, const Peer& peer)
{
    if (waits_.needs_edges_first(request) && waits_.check(peer, request))
        return deliver(request.items);
    apply();
    return registry_.objects.confirm_delivery();
}

Delivered Delivery::deliver_before_ending_waits(const Name& name)
{
    waits_.poll_timers(name);
    return deliver();
}

Delivered Delivery::deliver_before_ending_waits()
{
    waits_.poll_timers();
    return deliver();
}

bool Delivery::apply()
{
    const OnStack<Delivery> entered;
    bool has_completed_wait = false;
    // The delivery of a change can cause further changes. For example, watching an object collects
    // edges, and each edge is a change.
    do {
        while (registry_.objects.has_changes()) {
            const auto changes = registry_.objects.take_changes();
            has_completed_wait |= apply_to_waits(changes);
            for (const auto& change : changes)
                apply_to_monitors(change);
        }
        waits_.check_started();
    } while (registry_.objects.has_changes());
    return has_completed_wait;
}

bool Delivery::apply_to_waits(std::span<const ObjectChange> changes)
{
    bool has_completed_wait = false;
    for (const auto& change : changes) {
        if (change.kind != Kind::edge)
            has_completed_wait |= waits_.complete_after_edges();
        apply_to_waits(change);
    }
    return waits_.complete_after_edges() || has_completed_wait;
}

void Delivery::apply_to_waits(const ObjectChange& change)
{
    const auto& name = change.object.name;
    if (change.kind == Kind::deleted)
        return waits_.on_deleted(name);
    auto* object = waits_.has_queue(name) ? registry_.objects.find(change.object) : nullptr;
    if (!object)
        return;
    switch (change.kind) {
    case Kind::created: return waits_.on_created(name, *object);
    case Kind::edge: return waits_.on_edge(name, *object);
    case Kind::pulsed:
    case Kind::expired: return waits_.on_counted(name, change.times);
    case Kind::cancelled: return waits_.on_cancelled(name);
    case Kind::permissions: return waits_.on_permissions_changed(name);
    case Kind::taken:
    case Kind::rearmed:
    case Kind::subscribers:
    case Kind::deleted: break;
    }
}

void Delivery::apply_to_monitors(const ObjectChange& change)
{
    const auto& name = change.object.name;
    if (change.kind == Kind::deleted)
        return monitors_.on_deleted(name, *change.before);
    auto* object = registry_.objects.find(change.object);
    if (!object)
        return;
    switch (change.kind) {
    case Kind::created:
        monitors_.on_created(name, *object);
        // The daemon counts the expirations of a new timer from the moment when it is armed. If no
        // client needs this count, the daemon stops counting here.
        return registry_.watches.unwatch_if_unneeded(name, *object);
    case Kind::edge: ++edges_; return monitors_.on_changed(name, *object);
    case Kind::taken:
    case Kind::pulsed:
    case Kind::expired:
    case Kind::rearmed:
    case Kind::cancelled: return monitors_.on_changed(name, *object);
    case Kind::permissions: return monitors_.on_permissions_changed(name, *object, *change.before);
    case Kind::subscribers: return monitors_.on_waiters_changed(name);
    case Kind::deleted: break;
    }
}

bool Delivery::run()
{
    registry_.edges.collect();
    const bool has_completed_wait = apply();
    while (const auto process = registry_.take_ended_process()) {
        delete_owned(*process);
        registry_.holds.end(*process);
    }
    return has_completed_wait;
}

void Delivery::time_out(Wait& wait)
{
    // An event can have been set before the deadline although the daemon has not collected its edge
    // yet. So all edges are delivered before the wait times out.
    waits_.poll_timers(wait);
    deliver();
    waits_.time_out(wait);
}

void Delivery::delete_owned(std::uint64_t owner)
{
    for (const auto& name : registry_.lifetimes.next_owned(owner))
        registry_.timers.poll(name);
    // deliver() comes first, because the last call of the owner can have been a Set, and the edges
    // of the Set must reach the waits before the objects are deleted.
    const bool has_more = registry_.lifetimes.delete_owned(owner, deliver());
    apply();
    if (has_more)
        loop_.defer([this, owner] { delete_owned(owner); });
}

} // namespace evfd::daemon
