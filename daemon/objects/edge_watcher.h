// EdgeWatcher: collects the edges of watched eventfds.
//
// A watched eventfd is in epoll_, an epoll set of its own, in edge-triggered mode: each write
// produces an edge, and nothing needs to be read. collect() takes all pending edges. The main loop
// watches epoll_ as a whole, at a bounded rate (min_edge_interval), because a busy writer must not
// keep the daemon busy.
//
// An event needs no place in the epoll set while no client has its eventfd: only the daemon can set
// it, and signal() records the edge.
//
// The watcher does not know what an edge means. Its Deliver function is called by the loop, never
// by a function of the watcher, so that it may call collect().
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/edge_watch.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace evfd::daemon {

struct Object;

class EdgeWatcher {
public:
    // Collects and delivers the edges. Returns whether a wait completed.
    using Deliver = std::function<bool()>;

    struct Edge {
        const Name* name; // The name and the object live in the registry.
        Object* object;
        // What epoll reported; none if signal() recorded the edge.
        std::optional<std::uint32_t> events;
    };

    EdgeWatcher(EventLoop& loop, Deliver deliver);
    EdgeWatcher(const EdgeWatcher&) = delete; // Pinned: its watches hold its address.
    EdgeWatcher& operator=(const EdgeWatcher&) = delete;

    // Adds the eventfd of the object, whose EdgeWatch is `watch`, to the epoll set. ENOMEM, ENOSPC:
    // epoll_ctl(2).
    Result<void> watch(const Name& name, Object& object, EdgeWatch& watch, const UniqueFd& eventfd,
                       EdgeMask mask);
    // Records an edge of an object that is not in the epoll set. The edge is delivered in this
    // iteration of the loop at the latest.
    void signal(const Name& name, Object& object);
    // Drops the recorded edges of an object that is deleted.
    void forget(const Object& object);
    // Takes the pending edges, the recorded ones first. `max_watched` is an upper bound of the
    // events in the epoll set.
    std::vector<Edge> collect(std::size_t max_watched);

private:
    void poll(std::size_t max_watched);
    void enable();
    void throttle(MonotonicTime begin);

    EventLoop& loop_;
    Deliver deliver_;
    log::Limited log_;
    std::vector<Edge> signalled_; // By the daemon itself, since the last collect().
    std::vector<Edge> polled_;    // What epoll_ has reported in this collect().
    EventLoop epoll_; // Watches events alone, so that edges can be collected at any time.
    std::optional<EventLoop::Watch> watch_; // Watches epoll_ while it is enabled.
    MonotonicTime last_delivery_{};
    std::optional<EventLoop::Timeout>
        throttle_; // Enables the watch again; empty while it is enabled.
};

} // namespace evfd::daemon
