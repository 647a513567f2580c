// The part of the registry that watches objects and collects the edges of events.
#include "daemon/objects/registry.h"

#include "daemon/base/log.h"
#include "daemon/base/on_stack.h"

#include <cassert>
#include <utility>

namespace evfd::daemon {

Interest::~Interest()
{
    if (registry_)
        registry_->end_interest(object_);
}

void Registry::report(ObjectChange change)
{
    changes_.push_back(std::move(change));
}

std::vector<ObjectChange> Registry::take_changes()
{
    const OnStack<Registry> entered;
    return std::exchange(changes_, {});
}

Delivered Registry::confirm_delivery() const
{
    assert(changes_.empty());
    return Delivered{};
}

bool Registry::is_watched(const Object& object, EdgeMask edges)
{
    if (object.timer())
        return object.timer()->is_counting();
    return object.watch.reports(edges);
}

Result<Interest> Registry::watch(const Name& name, Object& object, EdgeMask edges)
{
    const OnStack<Registry> entered;
    if (const auto watched = watch_object(*objects_.find(name), edges); !watched)
        return std::unexpected(watched.error());
    ++object.interests;
    return Interest{*this, {name, object.serial}};
}

Result<void> Registry::monitor(const Name& name, Object& object)
{
    const OnStack<Registry> entered;
    if (const auto watched = watch_object(*objects_.find(name), EdgeMask::any); !watched)
        return watched;
    object.is_monitored = true;
    return {};
}

void Registry::unmonitor(const Name& name, Object& object)
{
    const OnStack<Registry> entered;
    object.is_monitored = false;
    unwatch_if_unneeded(name);
}

void Registry::end_interest(const ObjectRef& reference)
{
    const OnStack<Registry> entered;
    auto* object = find(reference);
    if (object && --object->interests == 0)
        unwatch_if_unneeded(reference.name);
}

Result<void> Registry::watch_object(Entry& entry, EdgeMask edges)
{
    auto& object = entry.second;
    if (auto* timer = object.timer()) {
        if (!timer->is_counting()) {
            timer->start_counting();
            schedule_poll(entry);
        }
        return {};
    }
    if (auto* event = object.event())
        if (const auto watched = watch_event(entry, *event, edges); !watched)
            return watched;
    if (edges == EdgeMask::any)
        collect_edges(); // Takes earlier edges and the first edge of the watch.
    return {};
}

Result<void> Registry::watch_event(Entry& entry, const Event& event, EdgeMask edges)
{
    auto& watch = entry.second.watch;
    if (edges == EdgeMask::readable && event.is_unshared() && !watch.is_in_epoll()) {
        watch.arm_locally();
        return {};
    }
    return edges_.watch(entry.first, entry.second, watch, event.fd(), edges);
}

// Watches an event that the daemon signalled itself and that clients can set and clear from now on.
Result<void> Registry::watch_shared(Entry& entry, const Event& event)
{
    const auto edges = event.mode() == Mode::manual ? EdgeMask::any : EdgeMask::readable;
    if (const auto watched =
            edges_.watch(entry.first, entry.second, entry.second.watch, event.fd(), edges);
        !watched)
        return watched;
    collect_edges(); // Takes the first edge of the watch.
    return {};
}

void Registry::unwatch_if_unneeded(const Name& name)
{
    const auto entry = objects_.find(name);
    if (entry == objects_.end())
        return;
    auto& object = entry->second;
    auto* timer = object.timer();
    if (object.interests == 0 && !object.is_monitored) {
        object.watch.release();
        if (timer && !timer->must_count())
            timer->stop_counting();
    }
    if (timer)
        schedule_poll(*entry);
}

void Registry::warn_once(const Name& name, Object& object, Misuse misuse)
{
    if (std::exchange(object.has_warned.at(static_cast<std::size_t>(misuse)), true))
        return;
    const log::Fields about{.name = name.text(), .uid = object.ownership.owner};
    switch (misuse) {
    case Misuse::counter_full:
        log_.warn(
            about,
            "a client filled the counter of '{}'; clear the event, or delete it and permit fewer "
            "users to set the next one",
            name.text());
        break;
    case Misuse::blocking:
        log_.warn(
            about,
            "a client switched O_NONBLOCK off for '{}', so a write or read by another client can "
            "block; permit fewer users to open it if this was intended",
            name.text());
        break;
    }
}

// Marks the events that the daemon itself sets.
void Registry::signal_locally(const Increments& increments)
{
    for (const auto& increment : increments)
        if (increment.object->watch.is_local())
            edges_.signal(objects_.find(*increment.name)->first, *increment.object);
}

// Earlier waits for a pulse come first if they wait for something else, too, so earlier edges are
// collected before.
void Registry::report_pulses(const std::vector<Pulsed>& pulsed)
{
    for (const auto& [name, object, times] : pulsed) {
        if (object->interests > 0)
            collect_edges();
        report({ObjectChange::Kind::pulsed, {*name, object->serial}, times});
    }
}

void Registry::collect_edges()
{
    for (const auto& edge : edges_.collect(objects_.size())) {
        const auto& name = *edge.name;
        auto& object = *edge.object;
        if (edge.events && object.watch.shows_full_counter(*edge.events))
            warn_once(name, object, Misuse::counter_full);
        if (!edge.events || object.watch.on_edge())
            report({ObjectChange::Kind::edge, {name, object.serial}});
    }
}

} // namespace evfd::daemon
