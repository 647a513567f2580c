// EdgeWatcher: collects the edges of watched eventfds.
//
// The epoll set epoll_ contains only the watched eventfds, in edge-triggered mode. Each write to an
// eventfd produces an edge, and the daemon need not read the eventfd. collect() takes all pending
// edges. The main loop watches epoll_ as a whole, at a bounded rate (min_edge_interval), because a
// busy writer must not keep the daemon busy.
//
// The watcher does not know what an edge means. The event loop calls the Deliver function, and no
// function of the watcher does, so the Deliver function is allowed to call collect().
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
    // A function that collects and delivers the edges, and returns whether a wait completed.
    using Deliver = std::function<bool()>;

    struct Edge {
        const Name* name; // The registry owns the name and the object.
        Object* object;
        std::uint32_t events; // The epoll events of the edge.
    };

    EdgeWatcher(EventLoop& loop, Deliver deliver);
    // Not copyable: the watches hold the address of this object.
    EdgeWatcher(const EdgeWatcher&) = delete;

    // Adds the eventfd of the object, whose EdgeWatch is `watch`, to the epoll set. Fails with
    // ENOMEM or ENOSPC as epoll_ctl(2) does.
    Result<void> watch(const Name& name, Object& object, EdgeWatch& watch, const UniqueFd& eventfd,
                       EdgeMask mask);
    // Returns the pending edges and forgets them.
    std::vector<Edge> collect();

private:
    void poll();
    void enable();
    void throttle(MonotonicTime begin);

    EventLoop& loop_;
    Deliver deliver_;
    log::Limited log_;
    std::vector<Edge> polled_; // The edges that epoll_ has reported during this collect().
    // An epoll set that contains only eventfds, so collect() can poll it without running the
    // callbacks of other descriptors.
    EventLoop epoll_;
    // The watch with which loop_ observes epoll_; empty while the watcher is throttled.
    std::optional<EventLoop::Watch> watch_;
    MonotonicTime last_delivery_{};
    // The timeout that calls enable() after throttle().
    std::optional<EventLoop::Timeout> throttle_;
};

} // namespace evfd::daemon
