// Delivery: takes the changes of the registry to the waits and the monitors.
//
// The registry calls nobody, so every call goes one way: the service or the loop calls Delivery,
// Delivery calls the waits, then the monitors, and these call the registry. No class is on a call
// stack twice.
//
// deliver() is called before each function of the registry that demands a Delivered; apply() is
// called after each step that may have changed an object, so that a wait which completes takes its
// token before the next step; run() is called by the loop.
//
// Edges that follow each other in the list are one batch: all of them are noted before the first
// wait is looked at, since waits are served in the order of arrival, whatever changed first.
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
    // The same after a poll of the timers among these objects.
    template <class Item>
    Delivered deliver(const Items<Item>& items)
    {
        for (const auto& item : items.list)
            registry_.timers.poll(item.name);
        return deliver();
    }
    Delivered deliver(const Name& name);
    // The same, but collects edges only if they could matter to this new wait, which may be
    // refused.
    Delivered deliver_before(const protocol::Wait& request, const Peer& peer);
    // The same before a change that ends waits for this object, or any waits: they still get what
    // their other objects have for them.
    Delivered deliver_before_ending_waits(const Name& name);
    Delivered deliver_before_ending_waits();
    // Delivers the changes in the list. Returns whether edges completed a wait.
    bool apply();

    // Called by the loop when something has happened outside a call: delivers it and ends the
    // processes that have ended. Returns whether edges completed a wait.
    bool run();
    // Called by the loop when the time of the wait is over.
    void time_out(Wait& wait);
    // Deletes the objects that end with the session or process; a part of them in each iteration.
    void delete_owned(std::uint64_t owner);

    std::uint64_t edges() const { return edges_; } // The number of edges so far.

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
