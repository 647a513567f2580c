// ObjectWatches: begins and ends the watching of objects.
//
// An object is watched while an Interest in it exists or while a monitor reports it. Writes and
// reads of a watched eventfd, and expirations of a watched timer, are reported as changes. A number
// (see Event) needs no watch: EventWatches reports its changes.
#pragma once

#include "common/name.h"
#include "common/result.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/interest.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/timer_driver.h"

namespace evfd::daemon {

class ObjectWatches {
public:
    ObjectWatches(ObjectTable& objects, EventWatches& events, TimerDriver& timers)
        : objects_{objects}, events_{events}, timers_{timers}
    {
    }
    // Not copyable: each Interest has the address of this object.
    ObjectWatches(const ObjectWatches&) = delete;

    // Watches the object while the returned Interest exists. The watch can report an edge that
    // occurred before this call. If `edges` is `readable`, the watch can also report an edge
    // because the event is already set when the watch begins. This edge is not reported if the
    // event is cleared before the edges are collected. Fails with ENOMEM or ENOSPC as epoll_ctl(2)
    // does.
    Result<Interest> watch(const Name& name, Object& object, EdgeMask edges);
    // Watches all edges of the object for the monitors, until unmonitor(). One call serves all
    // monitors.
    Result<void> monitor(const Name& name, Object& object);
    void unmonitor(const Name& name, Object& object);
    // Stops watching the object, unless an Interest in it exists or a monitor reports it.
    void unwatch_if_unneeded(const Name& name, Object& object);

private:
    friend class Interest;
    Result<void> begin(ObjectTable::Entry& entry, EdgeMask edges);
    void end_interest(const ObjectRef& reference);

    ObjectTable& objects_;
    EventWatches& events_;
    TimerDriver& timers_;
};

} // namespace evfd::daemon
