// The part of the registry that hears what is done to events, by whoever has them.
#include "daemon/objects/registry.h"

#include "daemon/base/log.h"

#include <sys/epoll.h>

#include <utility>

namespace evfd::daemon {

bool Registry::is_watched(const Object& object, Heed heed)
{
    if (object.timer())
        return object.timer()->is_counting();
    if (object.is_told_of && heed == Heed::sets)
        return true;
    return object.watch && !object.is_watch_idle &&
           (heed == Heed::sets || object.heed == Heed::everything);
}

Result<void> Registry::watch(const Name& name, Object& object, Heed heed)
{
    auto& entry = *objects_.find(name);
    if (auto* timer = object.timer()) {
        if (!timer->is_counting()) {
            timer->start_counting();
            look_later(entry);
        }
        return {};
    }
    if (auto* event = object.event())
        if (const auto watched = watch_event(entry, *event, heed); !watched)
            return watched;
    if (heed == Heed::everything)
        hear(); // What was before, and the first ring.
    return {};
}

Result<void> Registry::watch_event(Entry& entry, const Event& event, Heed heed)
{
    auto& object = entry.second;
    object.is_watch_idle = false;
    if (object.watch && (heed == Heed::sets || object.heed == Heed::everything))
        return {};
    if (heed == Heed::sets && event.is_ours_alone()) {
        object.is_told_of = true;
        return {};
    }
    const auto watched = watch_descriptor(entry, event, heed);
    if (watched)
        object.is_told_of = false;
    return watched;
}

// One that is told of, and that others can set and clear from now on.
Result<void> Registry::watch_shared(Entry& entry, const Event& event)
{
    const auto heed = event.mode() == Mode::manual ? Heed::everything : Heed::sets;
    if (const auto watched = watch_descriptor(entry, event, heed); !watched)
        return watched;
    entry.second.is_told_of = false;
    hear(); // The first ring.
    return {};
}

Result<void> Registry::watch_descriptor(Entry& entry, const Event& event, Heed heed)
{
    auto& object = entry.second;
    // A write rings, whoever does it. Edge-triggered, so nothing has to be taken. For everything
    // EPOLLOUT as well, or a set that is cleared at once would not be told: epoll looks again, and
    // finds an event that is not readable but is writable. That makes a read ring too, and the
    // watch once to begin with.
    const auto events = EPOLLET | EPOLLIN | (heed == Heed::everything ? EPOLLOUT : 0u);
    if (object.watch) { // Who heard of sets may not have heard of the last one: the ring counts.
        if (const auto changed = object.watch->change(events); !changed)
            return changed;
        object.heed = heed;
        return {};
    }
    auto watch = rings_.watch(event.fd(), events, [this, &entry](std::uint32_t events_now) {
        on_ring(entry, events_now);
    });
    if (!watch)
        return std::unexpected(watch.error());
    object.watch.emplace(*std::move(watch));
    object.heed = heed;
    object.is_freshly_watched = heed == Heed::everything;
    return {};
}

void Registry::reconsider(const Name& name)
{
    auto* object = find(name);
    if (!object || !is_watched(*object) || audience_.cares_for(name))
        return;
    object->is_told_of = false;
    // The next to wait for a token most often comes before the next set: of sets we hear once more
    // before we hear no more.
    object->is_watch_idle = object->heed == Heed::sets;
    if (!object->is_watch_idle)
        object->watch.reset();
    if (auto* timer = object->timer(); timer && !timer->is_needed()) {
        timer->stop_counting();
        look_later(*objects_.find(name));
    }
}

void Registry::report(const Name& name, Object& object, Abuse abuse)
{
    if (std::exchange(object.has_reported.at(static_cast<std::size_t>(abuse)), true))
        return;
    const log::About about{.name = name.text(), .uid = object.ownership.owner};
    switch (abuse) {
    case Abuse::filled:
        log::warn(about,
                  "the counter of '{}' is full: one of its holders filled it; clear it, or delete "
                  "it and let fewer set the next",
                  name.text());
        break;
    case Abuse::blocking:
        log::warn(about,
                  "one of the holders of '{}' switched O_NONBLOCK off, so a write or read by "
                  "another can block; let fewer have it if that was no mistake",
                  name.text());
        break;
    }
}

void Registry::on_ring(Entry& entry, std::uint32_t events)
{
    auto& [name, object] = entry;
    if (object.is_watch_idle) {
        object.watch.reset();
        return;
    }
    if (object.heed == Heed::everything && (events & EPOLLOUT) == 0)
        report(name, object, Abuse::filled);
    if (std::exchange(object.is_freshly_watched, false))
        return;
    audience_.rang(name, object);
}

// What rings meanwhile is not lost: it is told once we listen again.
void Registry::on_rings()
{
    const auto now = monotonic_now();
    const bool is_busy = now - std::exchange(last_rings_, now) < min_ring_interval;
    if (hear() || !is_busy)
        return;
    rings_watch_.reset();
    // As much time is left to others as this took.
    const auto end = monotonic_now();
    rings_alarm_.emplace(loop_.alarm(end + std::max<nanoseconds>(min_ring_interval, end - now),
                                     [this] { listen_to_rings(); }));
}

void Registry::listen_to_rings()
{
    rings_watch_.emplace(loop_.watch(rings_, [this](std::uint32_t) { on_rings(); }));
    last_rings_ = monotonic_now();
}

// Of what was added to those that are told of.
void Registry::ring(const Additions& additions)
{
    const bool is_first = rung_.empty();
    for (const auto& addition : additions)
        if (addition.object->is_told_of)
            rung_.push_back(&*objects_.find(*addition.name));
    if (is_first && !rung_.empty())
        loop_.defer([this] { hear(); }); // If nobody does before.
}

bool Registry::hear()
{
    if (hearing_ || (rung_.empty() && !rings_.watches_any()))
        return false; // Whoever hears may do what asks for this again.
    hearing_ = true;
    for (auto* entry : std::exchange(rung_, {}))
        audience_.rang(entry->first, entry->second);
    // Each turn tells of a batch, the longest waiting first; busy writers could go on for ever.
    constexpr auto batch = EventLoop::batch;
    const auto turns =
        rings_.watches_any() ? 1 + static_cast<std::size_t>(events_) / batch : std::size_t{0};
    for (std::size_t turn = 0; turn < turns; ++turn) {
        const auto told = rings_.look();
        if (!told)
            log::error("cannot hear of events: {}", told.error().message());
        if (!told || *told < batch)
            break;
    }
    const bool anyone_is_released = audience_.heard();
    hearing_ = false;
    return anyone_is_released;
}

} // namespace evfd::daemon
