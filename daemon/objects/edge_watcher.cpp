#include "daemon/objects/edge_watcher.h"

#include "daemon/limits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

EdgeWatcher::EdgeWatcher(EventLoop& loop, Deliver deliver)
    : loop_{loop}, deliver_{std::move(deliver)}
{
    enable();
}

Result<void> EdgeWatcher::watch(const Name& name, Object& object, EdgeWatch& watch,
                                const UniqueFd& eventfd, EdgeMask mask)
{
    return watch.arm(epoll_, eventfd, mask, [this, &name, &object](std::uint32_t events) {
        polled_.push_back({&name, &object, events});
    });
}

std::vector<EdgeWatcher::Edge> EdgeWatcher::collect()
{
    if (epoll_.watch_count() > 0)
        poll();
    return std::exchange(polled_, {});
}

// Each poll returns a batch of edges. The edges that have waited longest come first. The number of
// polls is limited, because busy writers can produce edges indefinitely.
void EdgeWatcher::poll()
{
    constexpr auto batch = EventLoop::batch;
    const auto max_batches = 1 + epoll_.watch_count() / batch;
    for (std::size_t i = 0; i < max_batches; ++i) {
        const auto polled = epoll_.poll();
        if (!polled)
            log_.error({}, "cannot poll for edges of events: {}", polled.error().message());
        if (!polled || *polled < batch)
            break;
    }
}

void EdgeWatcher::enable()
{
    // The event loop runs this callback, so no other function of the watcher is active while
    // deliver_ runs.
    watch_.emplace(loop_.watch(epoll_, [this](std::uint32_t) {
        const auto now = monotonic_now();
        const bool is_busy = now - std::exchange(last_delivery_, now) < min_edge_interval;
        if (!deliver_() && is_busy)
            throttle(now);
    }));
    last_delivery_ = monotonic_now();
}

// Pauses the watch of epoll_. Edges that occur during the pause are not lost: they are delivered
// when enable() begins the watch again.
void EdgeWatcher::throttle(MonotonicTime begin)
{
    watch_.reset();
    // The pause lasts at least as long as the delivery took, so that other work gets at least half
    // of the time.
    const auto end = monotonic_now();
    throttle_.emplace(loop_.add_timeout(end + std::max<nanoseconds>(min_edge_interval, end - begin),
                                        [this] { enable(); }));
}

} // namespace evfd::daemon
