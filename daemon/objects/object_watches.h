// ObjectWatches: which objects are watched, and until when.
//
// An object is watched while an Interest in it lives or while it is monitored. Writes and reads of
// a watched event, and expirations of a watched timer, are reported as changes.
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
    ObjectWatches(const ObjectWatches&) = delete; // Pinned: each Interest has its address.
    ObjectWatches& operator=(const ObjectWatches&) = delete;

    // Watches the object while the Interest lives. Earlier edges may be reported as well. With
    // `readable`, an event that is set already is reported too, but not one that is cleared before
    // the edges are collected. EMFILE, ENOMEM, ENOSPC: epoll_ctl(2).
    Result<Interest> watch(const Name& name, Object& object, EdgeMask edges);
    // The same for all monitors together: watches all edges until unmonitor().
    Result<void> monitor(const Name& name, Object& object);
    void unmonitor(const Name& name, Object& object);
    // Stops watching, unless there is an Interest in the object or it is monitored.
    void unwatch_if_unneeded(const Name& name);

private:
    friend class Interest;
    Result<void> begin(ObjectTable::Entry& entry, EdgeMask edges);
    void end_interest(const ObjectRef& reference);

    ObjectTable& objects_;
    EventWatches& events_;
    TimerDriver& timers_;
};

} // namespace evfd::daemon
