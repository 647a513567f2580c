// Registry: all named events and timers, and the parts that work on them.
//
// The counter of an event is a number in the daemon until a client that may wait and set opens the
// event. After that it is an eventfd. Clients have duplicates of the eventfd and can write and read
// it at any time, without the daemon. The registry keeps no copy of this counter. See Event.
//
// Callers use the parts directly. Each part uses only parts that are declared before it:
//
//     objects        the table: objects by name, what happened to them, their records
//     descriptors    the pool of descriptors for events, subscriptions and processes
//     ids            ids that are never used twice
//     authorization  decides which peer may do what
//     edges          watches of eventfds, and the changes of the counters of events
//     tokens         adds, takes and returns tokens, so that no crash loses one
//     processes      the processes with which objects and holds end
//     holds          tokens that are held
//     setting        Set and Clear
//     opening        Open and subscriptions
//     lifetimes      create and delete
//     timers         expirations of timers
//     arming         Arm and Disarm
//     watches        which objects are watched
//
// No part knows connections: a Session stands for the client of a call.
//
// Invariants:
// - Pending edges are delivered before any change that could hide them: a delete, clear, disarm or
//   re-arm. A waiter gets what was set before the change. A function that makes such a change
//   demands a Delivered object as proof.
// - Everything that can be refused is checked before the first change.
#pragma once

#include "daemon/access/quota.h"
#include "daemon/access/shared_pool.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/lifetimes.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/object_watches.h"
#include "daemon/objects/opening.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/setting.h"
#include "daemon/objects/timer_arming.h"
#include "daemon/objects/timer_driver.h"
#include "daemon/objects/token_log.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace evfd::daemon {

struct Registry {
    // `descriptor_budget` limits the descriptors of events, subscriptions and processes together.
    // `deliver` is called when something has happened outside of a call. Only callbacks of the
    // event loop call `deliver`.
    Registry(EventLoop& loop, Quota& quota, StateStore& state_store, EventfdIncrementer incrementer,
             std::int64_t descriptor_budget, EdgeWatcher::Deliver deliver);
    // The objects are destroyed first, because they refer to the other parts.
    ~Registry() { objects.all().clear(); }
    Registry(const Registry&) = delete;

    // Ends the subscriptions of the session, and removes the session from the holders of its holds.
    // The objects of the session remain: Lifetimes::delete_owned() deletes them.
    void end(Session& session);
    // Returns the id of a watched process that has ended. Each id is returned only once. Returns
    // nothing if no ended process is left.
    std::optional<ProcessWatcher::Id> take_ended_process();

    StateStore& state_store;
    ObjectTable objects;
    SharedPool descriptors;
    IdSequence ids;
    Authorization authorization;
    EventWatches edges;
    TokenLog tokens;
    ProcessWatcher processes;
    Holds holds;
    Setting setting;
    Opening opening;
    Lifetimes lifetimes;
    TimerDriver timers;
    TimerArming arming;
    ObjectWatches watches;

private:
    std::vector<ProcessWatcher::Id> ended_processes_;
};

} // namespace evfd::daemon
