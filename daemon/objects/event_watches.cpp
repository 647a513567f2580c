#include "daemon/objects/event_watches.h"

#include "daemon/base/on_stack.h"

#include <utility>

namespace evfd::daemon {

using Entry = ObjectTable::Entry;

Result<void> EventWatches::watch(Entry& entry, const Event& event, EdgeMask edges)
{
    auto& watch = entry.second.watch;
    if (edges == EdgeMask::readable && event.is_unshared() && !watch.is_in_epoll()) {
        watch.arm_locally();
        return {};
    }
    return watch_in_epoll(entry, event, edges);
}

Result<void> EventWatches::watch_in_epoll(Entry& entry, const Event& event, EdgeMask edges)
{
    auto& [name, object] = entry;
    return edges_.watch(name, object, object.watch, event.fd(), edges);
}

Result<void> EventWatches::watch_shared(Entry& entry, const Event& event)
{
    if (!entry.second.watch.is_local())
        return {};
    const auto edges = event.mode() == Mode::manual ? EdgeMask::any : EdgeMask::readable;
    if (const auto watched = watch_in_epoll(entry, event, edges); !watched)
        return watched;
    collect(); // Collects the edge that the beginning of the watch can produce.
    return {};
}

void EventWatches::collect()
{
    const OnStack<EventWatches> entered;
    for (const auto& edge : edges_.collect(objects_.all().size())) {
        const auto& name = *edge.name;
        auto& object = *edge.object;
        if (edge.events && object.watch.shows_full_counter(*edge.events))
            warn_once(name, object, Misuse::counter_full);
        if (!edge.events || object.watch.on_edge())
            objects_.report({ObjectChange::Kind::edge, {name, object.serial}});
    }
}

void EventWatches::signal(const Increments& increments)
{
    for (const auto& increment : increments)
        if (increment.object->watch.is_local())
            edges_.signal(objects_.entry(*increment.name).first, *increment.object);
}

void EventWatches::warn_once(const Name& name, Object& object, Misuse misuse)
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

} // namespace evfd::daemon
