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
    // `deliver` is called by the loop, never by a function of this class, when there are edges.
    EventWatches(EventLoop& loop, ObjectTable& objects, EdgeWatcher::Deliver deliver)
        : objects_{objects}, edges_{loop, std::move(deliver)}
    {
    }

    // Watches the event until its watch is released. Earlier edges may be reported as well. EMFILE,
    // ENOMEM, ENOSPC: epoll_ctl(2).
    Result<void> watch(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);
    // Changes the watch of an event that only the daemon could set, because clients get it now.
    Result<void> watch_shared(ObjectTable::Entry& entry, const Event& event);
    // Appends all pending edges to the changes.
    void collect();
    // Records the edges of events that the daemon itself sets.
    void signal(const Increments& increments);
    // Drops the recorded edges of an object that is deleted.
    void forget(const Object& object) { edges_.forget(object); }
    // Logs the misuse, once for each object.
    void warn_once(const Name& name, Object& object, Misuse misuse);

private:
    Result<void> watch_in_epoll(ObjectTable::Entry& entry, const Event& event, EdgeMask edges);

    ObjectTable& objects_;
    log::Limited log_;
    EdgeWatcher edges_;
};

} // namespace evfd::daemon
