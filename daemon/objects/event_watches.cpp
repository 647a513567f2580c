#include "daemon/objects/event_watches.h"

#include "daemon/base/on_stack.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

using Entry = ObjectTable::Entry;

Result<void> EventWatches::watch(Entry& entry, Event& event, EdgeMask edges)
{
    if (event.is_number())
        return {};
    auto& [name, object] = entry;
    return edges_.watch(name, object, event.descriptor()->watch, event.fd(), edges);
}

Result<void> EventWatches::watch_opened(Entry& entry, Event& event)
{
    auto& [name, object] = entry;
    if (!is_needed(object))
        return {};
    const bool needs_all = event.mode() == Mode::manual || object.is_monitored;
    const auto watched = edges_.watch(name, object, event.descriptor()->watch, event.fd(),
                                      needs_all ? EdgeMask::any : EdgeMask::readable);
    if (watched)
        collect(); // Collects the edge that the beginning of the watch can produce.
    return watched;
}

void EventWatches::collect()
{
    const OnStack<EventWatches> entered;
    for (const auto& edge : edges_.collect()) {
        const auto& name = *edge.name;
        auto& object = *edge.object;
        auto& descriptor = *object.event()->descriptor();
        if (descriptor.watch.shows_full_counter(edge.events))
            warn_once(name, object, Misuse::counter_full);
        if (descriptor.watch.on_edge())
            objects_.report({ObjectChange::Kind::edge, {name, object.serial}});
    }
}

void EventWatches::on_added(const Increments& increments)
{
    const auto needs_report = [](const Increment& one) {
        const auto* event = one.object->event();
        return event && event->is_number() && is_needed(*one.object);
    };
    if (std::ranges::none_of(increments, needs_report))
        return;
    collect(); // Reports earlier edges first, so that waits get the changes in their order.
    for (const auto& increment : increments)
        if (needs_report(increment))
            report(ObjectChange::Kind::edge, *increment.name, *increment.object);
}

void EventWatches::on_taken(const Name& name, const Object& object)
{
    if (object.is_monitored && object.event()->is_number())
        report(ObjectChange::Kind::taken, name, object);
}

void EventWatches::report(ObjectChange::Kind kind, const Name& name, const Object& object)
{
    objects_.report({kind, {name, object.serial}});
    if (std::exchange(is_delivery_scheduled_, true))
        return;
    // Another call can deliver the changes before the deferred call runs. The deferred call then
    // finds no changes, which is harmless.
    loop_.defer([this] {
        is_delivery_scheduled_ = false;
        deliver_();
    });
}

void EventWatches::warn_once(const Name& name, Object& object, Misuse misuse)
{
    if (std::exchange(object.event()->descriptor()->has_warned.at(static_cast<std::size_t>(misuse)),
                      true))
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
