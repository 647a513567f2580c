// Delivery: takes the changes of the registry to the waits and the monitors.
//
// The registry calls nobody, so every call goes one way: the service or the loop calls Delivery,
// Delivery calls the waits, then the monitors, and the waits and the monitors call the registry. No
// class is on a call stack twice.
//
// - deliver() is called before each function of the registry that has a parameter of the type
//   Delivered.
// - apply() is called after each step that can have changed an object. A wait that completes thus
//   takes its token before the next step.
// - The loop calls run() when an object or a process changed outside of a call.
//
// Edges that follow each other in the list of changes are one batch: the queues note all edges of a
// batch before the first wait is looked at. The reason is that waits are served in the order of
// their arrival, whichever object changed first.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/registry.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/waits.h"

#include <cstdint>
#include <span>

namespace evfd::daemon {

class Delivery {
public:
    Delivery(EventLoop& loop, Registry& registry, Waits& waits, Monitors& monitors)
        : loop_{loop}, registry_{registry}, waits_{waits}, monitors_{monitors}
    {
    }
    Delivery(const Delivery&) = delete;

    // Delivers all pending edges and changes to the waits and the monitors.
    Delivered deliver();
    // Polls the timers among the given objects, then delivers all pending edges and changes.
    template <class Item>
    Delivered deliver(const Items<Item>& items)
    {
        for (const auto& item : items.list)
            registry_.timers.poll(item.name);
        return deliver();
    }
    // Polls the object if it is a timer, then delivers all pending edges and changes. If no object
    // has this name, no edges are collected, and only the changes in the registry's list are
    // delivered.
    Delivered deliver(const Name& name);
    // Delivers all changes before a new wait starts. Collects edges only if this wait is permitted
    // and the edges could matter to it.
    Delivered deliver_before(const protocol::Wait& request, const Peer& peer);
    // Delivers all pending edges and changes, before the caller makes a change that can end waits
    // for the object `name`. A wait that is already satisfied thus completes, and does not end with
    // an error.
    Delivered deliver_before_ending_waits(const Name& name);
    // Delivers all pending edges and changes, before the caller makes a change that can end any
    // wait. A wait that is already satisfied thus completes, and does not end with an error.
    Delivered deliver_before_ending_waits();
    // Delivers the changes in the registry's list, without collecting edges first. Returns whether
    // edges completed a wait.
    bool apply();

    // Called by the loop when an object or a process changed outside of a call. Delivers all edges
    // and changes, and ends the objects and holds of processes that have ended. Returns whether
    // edges completed a wait.
    bool run();
    // Called by the loop when the timeout of the wait has expired. Delivers the edges and
    // expirations that came in time. If the wait is not done by then, ends it with a timeout.
    void time_out(Wait& wait);
    // Deletes the objects that end with `owner`, which is a session or a process. Each iteration of
    // the loop deletes a part of them.
    void delete_owned(std::uint64_t owner);

    std::uint64_t edges() const { return edges_; } // The number of edges delivered so far.

private:
    void apply_to_waits(const ObjectChange& change);
    void apply_to_monitors(const ObjectChange& change);
    bool apply_to_waits(std::span<const ObjectChange> changes);

    EventLoop& loop_;
    Registry& registry_;
    Waits& waits_;
    Monitors& monitors_;
    std::uint64_t edges_ = 0;
};

} // namespace evfd::daemon
