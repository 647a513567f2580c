// EventWatches: reports the changes of the counters of events that somebody observes.
//
// Only the daemon changes a number (see Event), so the daemon reports the change itself: on_added()
// and on_taken(). An eventfd can be changed by clients, so it is watched: an EdgeWatcher collects
// the edges of watched eventfds, and collect() appends them to the changes of the object table.
#pragma once

#include "common/name.h"
#include "common/result.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/edge_watcher.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/token_log.h"

#include <utility>

namespace evfd::daemon {

class EventWatches {
public:
    // The event loop calls `deliver` when changes are pending. No function of this class calls
    // `deliver`.
    EventWatches(EventLoop& loop, ObjectTable& objects, const EdgeWatcher::Deliver& deliver)
        : loop_{loop}, deliver_{deliver}, objects_{objects}, edges_{loop, deliver}
    {
    }

    // Watches the event until EdgeWatch::release() is called for its watch. An edge that occurred
    // before this call can be reported too. Fails with ENOMEM or ENOSPC as epoll_ctl(2) does. Does
    // nothing for a number, whose changes are reported anyway.
    Result<void> watch(ObjectTable::Entry& entry, Event& event, EdgeMask edges);
    // Watches the mirror of a number that is about to become an eventfd. Does nothing if neither an
    // Interest nor a monitor needs the watch.
    Result<void> watch_opened(ObjectTable::Entry& entry, Event& event);
    // Appends all pending edges to the changes of the object table.
    void collect();
    // Reports each observed number to which the daemon adds tokens. The reports are delivered
    // before this iteration of the event loop ends.
    void on_added(const Increments& increments);
    // Reports to the monitors that the daemon took tokens from a number. Does nothing for an
    // eventfd.
    void on_taken(const Name& name, const Object& object);
    // Logs the misuse, but each kind of misuse only once for each object.
    void warn_once(const Name& name, Object& object, Misuse misuse);

private:
    void report(ObjectChange::Kind kind, const Name& name, const Object& object);

    EventLoop& loop_;
    EdgeWatcher::Deliver deliver_;
    ObjectTable& objects_;
    log::Limited log_;
    EdgeWatcher edges_;
    bool is_delivery_scheduled_ = false;
};

} // namespace evfd::daemon
