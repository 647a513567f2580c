// EventWatches: watches events, and reports the edges of the watched events.
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
    // The event loop calls `deliver` when edges are pending. No function of this class calls
    // `deliver`.
    EventWatches(EventLoop& loop, ObjectTable& objects, EdgeWatcher::Deliver deliver)
        : objects_{objects}, edges_{loop, std::move(deliver)}
    {
    }

    // Watches the event until EdgeWatch::release() is called for its watch. An edge that occurred
    // before this call can be reported too. Fails with ENOMEM or ENOSPC as epoll_ctl(2) does.
    Result<void> watch(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);
    // Prepares the watch of an event whose eventfd a client is about to get: moves a local watch
    // (see EdgeWatch) to the epoll set, because from now on clients can set the event.
    Result<void> watch_shared(ObjectTable::Entry& entry, const Event& event);
    // Appends all pending edges to the changes of the object table.
    void collect();
    // Records the edges of events that the daemon itself sets.
    void signal(const Increments& increments);
    // Drops the recorded edges of the object, which is about to be deleted.
    void forget(const Object& object) { edges_.forget(object); }
    // Logs the misuse, but each kind of misuse only once for each object.
    void warn_once(const Name& name, Object& object, Misuse misuse);

private:
    Result<void> watch_in_epoll(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);

    ObjectTable& objects_;
    log::Limited log_;
    EdgeWatcher edges_;
};

} // namespace evfd::daemon
