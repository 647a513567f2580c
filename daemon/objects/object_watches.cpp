#include "daemon/objects/object_watches.h"

#include "daemon/base/on_stack.h"

namespace evfd::daemon {

void Interest::End::operator()(ObjectWatches* watches) const
{
    watches->end_interest(object);
}

Result<Interest> ObjectWatches::watch(const Name& name, Object& object, EdgeMask edges)
{
    const OnStack<ObjectWatches> entered;
    if (const auto begun = begin(objects_.entry(name), edges); !begun)
        return std::unexpected(begun.error());
    ++object.interests;
    return Interest{*this, {name, object.serial}};
}

Result<void> ObjectWatches::monitor(const Name& name, Object& object)
{
    const OnStack<ObjectWatches> entered;
    if (const auto begun = begin(objects_.entry(name), EdgeMask::any); !begun)
        return begun;
    object.is_monitored = true;
    return {};
}

void ObjectWatches::unmonitor(const Name& name, Object& object)
{
    object.is_monitored = false;
    unwatch_if_unneeded(name, object);
}

void ObjectWatches::end_interest(const ObjectRef& reference)
{
    auto* object = objects_.find(reference);
    if (object && --object->interests == 0)
        unwatch_if_unneeded(reference.name, *object);
}

Result<void> ObjectWatches::begin(ObjectTable::Entry& entry, EdgeMask edges)
{
    auto& object = entry.second;
    if (object.timer()) {
        timers_.watch(entry);
        return {};
    }
    if (auto* event = object.event())
        if (const auto watched = events_.watch(entry, *event, edges); !watched)
            return watched;
    if (edges == EdgeMask::any)
        // A watch for all edges begins with an edge that no write or read has caused. This edge is
        // collected now, together with any edges that occurred earlier.
        events_.collect();
    return {};
}

void ObjectWatches::unwatch_if_unneeded(const Name& name, Object& object)
{
    const OnStack<ObjectWatches> entered;
    if (object.timer())
        timers_.unwatch_if_unneeded(objects_.entry(name));
    else if (auto* event = object.event(); event && event->has_descriptor() && !is_needed(object))
        event->descriptor()->watch.release();
}

} // namespace evfd::daemon
