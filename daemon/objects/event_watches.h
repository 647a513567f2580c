// EventWatches: the watches of events, and the edges that they report.
//
// An EdgeWatcher collects the edges of watched events; collect() appends them to the changes of the
// object table.
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
    // `deliver` is called when there are edges. The event loop calls it, never a function of this
    // class.
    EventWatches(EventLoop& loop, ObjectTable& objects, EdgeWatcher::Deliver deliver)
        : objects_{objects}, edges_{loop, std::move(deliver)}
    {
    }

    // Watches the event until its watch is released. Edges from before the call can be reported as
    // well. EMFILE, ENOMEM, ENOSPC: see epoll_ctl(2).
    Result<void> watch(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);
    // Prepares the watch of an event whose eventfd a client is about to get: moves a local watch
    // (see EdgeWatch) to the epoll set, because from now on clients can set the event.
    Result<void> watch_shared(ObjectTable::Entry& entry, const Event& event);
    // Appends all pending edges to the changes of the object table.
    void collect();
    // Records the edges of events that the daemon itself sets.
    void signal(const Increments& increments);
    // Drops the recorded edges of an object that is deleted.
    void forget(const Object& object) { edges_.forget(object); }
    // Logs this misuse of the object, unless it was logged already.
    void warn_once(const Name& name, Object& object, Misuse misuse);

private:
    Result<void> watch_in_epoll(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);

    ObjectTable& objects_;
    log::Limited log_;
    EdgeWatcher edges_;
};

} // namespace evfd::daemon
