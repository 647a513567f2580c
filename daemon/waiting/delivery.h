// Delivery: takes the changes of the registry to the waits and the monitors.
//
// The registry calls nobody, so every call goes one way: the service or the loop calls Delivery,
// Delivery calls the waits, then the monitors, and the waits and the monitors call the registry. No
// class is on a call stack twice.
//
// deliver() is called before each function of the registry that demands a Delivered; apply() is
// called after each step that can have changed an object, so that a wait which completes takes its
// token before the next step; run() is called by the loop.
//
// Edges that follow each other in the list are one batch: all edges of a batch are noted before the
// first wait is looked at, since waits are served in the order of arrival, whichever object changed
// first.
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
    Delivery& operator=(const Delivery&) = delete;

    // Delivers all pending edges and changes.
    Delivered deliver();
    // Polls the timers among these objects, then delivers all pending edges and changes.
    template <class Item>
    Delivered deliver(const Items<Item>& items)
    {
        for (const auto& item : items.list)
            registry_.timers.poll(item.name);
        return deliver();
    }
    // Polls the object if it is a timer, then delivers all pending edges and changes. If no object
    // has this name, delivers the changes alone.
    Delivered deliver(const Name& name);
    // Delivers all changes before a new wait starts. Collects edges only if they could matter to
    // this wait, and if the wait is permitted.
    Delivered deliver_before(const protocol::Wait& request, const Peer& peer);
    // Delivers everything before a change that ends waits for this object. A wait that its other
    // objects satisfy is thus completed and not ended.
    Delivered deliver_before_ending_waits(const Name& name);
    // Delivers everything before a change that can end any wait. A wait that its objects satisfy is
    // thus completed and not ended.
    Delivered deliver_before_ending_waits();
    // Delivers the changes in the registry's list, without collecting edges first. Returns whether
    // edges completed a wait.
    bool apply();

    // Called by the loop when something has happened outside a call. Delivers all edges and
    // changes, and ends the objects and holds of processes that have ended. Returns whether edges
    // completed a wait.
    bool run();
    // Called by the loop when the timeout of the wait has expired. Delivers what came in time, then
    // ends the wait unless it is done.
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
