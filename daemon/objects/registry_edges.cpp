// The part of the registry that observes what clients do to events.
#include "daemon/objects/registry.h"

#include "daemon/base/log.h"

#include <utility>

namespace evfd::daemon {

bool Registry::is_watched(const Object& object, EdgeMask edges)
{
    if (object.timer())
        return object.timer()->is_counting();
    return object.watch.reports(edges);
}

Result<void> Registry::watch(const Name& name, Object& object, EdgeMask edges)
{
    auto& entry = *objects_.find(name);
    if (auto* timer = object.timer()) {
        if (!timer->is_counting()) {
            timer->start_counting();
            schedule_poll(entry);
        }
        return {};
    }
    if (auto* event = object.event())
        if (const auto watched = watch_event(entry, *event, edges); !watched)
            return watched;
    if (edges == EdgeMask::any)
        deliver_edges(); // Delivers earlier edges and the first edge of the watch.
    return {};
}

Result<void> Registry::watch_event(Entry& entry, const Event& event, EdgeMask edges)
{
    auto& watch = entry.second.watch;
    if (edges == EdgeMask::readable && event.is_unshared() && !watch.is_in_epoll()) {
        watch.arm_locally();
        return {};
    }
    return watch_descriptor(entry, event, edges);
}

// Watches an event that the daemon signalled itself and that clients can set and clear from now on.
Result<void> Registry::watch_shared(Entry& entry, const Event& event)
{
    const auto edges = event.mode() == Mode::manual ? EdgeMask::any : EdgeMask::readable;
    if (const auto watched = watch_descriptor(entry, event, edges); !watched)
        return watched;
    deliver_edges(); // Delivers the first edge of the watch.
    return {};
}

Result<void> Registry::watch_descriptor(Entry& entry, const Event& event, EdgeMask edges)
{
    return entry.second.watch.arm(edge_epoll_, event.fd(), edges,
                                  [this, &entry](std::uint32_t events) { on_edge(entry, events); });
}

void Registry::unwatch_if_unobserved(const Name& name)
{
    auto* object = find(name);
    if (!object || !is_watched(*object) || observer_.is_observed(name))
        return;
    object->watch.release();
    if (auto* timer = object->timer(); timer && !timer->must_count()) {
        timer->stop_counting();
        schedule_poll(*objects_.find(name));
    }
}

void Registry::warn_once(const Name& name, Object& object, Misuse misuse)
{
    if (std::exchange(object.has_warned.at(static_cast<std::size_t>(misuse)), true))
        return;
    const log::Fields about{.name = name.text(), .uid = object.ownership.owner};
    switch (misuse) {
    case Misuse::counter_full:
        log_.warn(
            about,
            "a client filled the counter of '{}'; clear the event, or delete it and permit fewer "
            "users to set the next one",
            name.text());
        break;
    case Misuse::blocking:
        log_.warn(
            about,
            "a client switched O_NONBLOCK off for '{}', so a write or read by another client can "
            "block; permit fewer users to open it if this was intended",
            name.text());
        break;
    }
}

void Registry::on_edge(Entry& entry, std::uint32_t events)
{
    auto& [name, object] = entry;
    if (object.watch.shows_full_counter(events))
        warn_once(name, object, Misuse::counter_full);
    if (object.watch.on_edge())
        observer_.on_edge(name, object);
}

// Edges that come meanwhile are not lost: they are delivered when edges are enabled again.
void Registry::on_edges()
{
    const auto now = monotonic_now();
    const bool is_busy = now - std::exchange(last_delivery_, now) < min_edge_interval;
    if (deliver_edges().has_completed_wait() || !is_busy)
        return;
    edge_watch_.reset();
    // Leaves as much time to others as this took.
    const auto end = monotonic_now();
    edge_throttle_.emplace(loop_.add_timeout(
        end + std::max<nanoseconds>(min_edge_interval, end - now), [this] { enable_edges(); }));
}

void Registry::enable_edges()
{
    edge_watch_.emplace(loop_.watch(edge_epoll_, [this](std::uint32_t) { on_edges(); }));
    last_delivery_ = monotonic_now();
}

// Marks the events that the daemon itself sets.
void Registry::signal_locally(const Increments& increments)
{
    const bool is_first = signalled_locally_.empty();
    for (const auto& increment : increments)
        if (increment.object->watch.is_local())
            signalled_locally_.push_back(&*objects_.find(*increment.name));
    if (is_first && !signalled_locally_.empty())
        loop_.defer([this] { deliver_edges(); }); // Unless another call delivers the edges before.
}

Delivered Registry::deliver_edges()
{
    if (is_delivering_ || (signalled_locally_.empty() && !edge_epoll_.watches_any()))
        return Delivered{false}; // An observer may call functions that end up here again.
    is_delivering_ = true;
    for (auto* entry : std::exchange(signalled_locally_, {}))
        observer_.on_edge(entry->first, entry->second);
    // Each poll returns a batch, the longest waiting first. The number of polls is limited, because
    // busy writers could go on indefinitely.
    constexpr auto batch = EventLoop::batch;
    const auto max_batches =
        edge_epoll_.watches_any() ? 1 + objects_.size() / batch : std::size_t{0};
    for (std::size_t i = 0; i < max_batches; ++i) {
        const auto polled = edge_epoll_.poll();
        if (!polled)
            log_.error({}, "cannot poll for edges of events: {}", polled.error().message());
        if (!polled || *polled < batch)
            break;
    }
    const bool has_completed_wait = observer_.on_edges_delivered();
    is_delivering_ = false;
    return Delivered{has_completed_wait};
}

} // namespace evfd::daemon
