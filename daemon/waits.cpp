#include "daemon/waits.h"

#include <algorithm>

namespace evfd::daemon {

Wait::Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake)
    : waits_{waits}, peer_{std::move(peer)}, charge_{std::move(charge)},
      gather_{request.gather.value_or(Gather::all)}, wake_{std::move(wake)}
{
    for (const auto& name : request.names.list)
        parts_.push_back({name});
}

Wait::~Wait()
{
    waits_.withdraw(*this);
}

Wait::Part& Wait::part(const Name& name)
{
    return *std::ranges::find(parts_, name, &Part::name);
}

// Beginning and end.

Outcome<std::unique_ptr<Wait>> Waits::start(const Peer& peer, Quota::Charge charge,
                                            const protocol::Wait& request, Wait::Wake wake)
{
    for (const auto& name : request.names.list) {
        const auto* object = registry_.find(name);
        if (!object && request.existing.value_or(false))
            return std::unexpected(refuse::no_such_name(name));
        if (object && !access_of(peer, object->ownership).wait)
            return std::unexpected(refuse::not_permitted(
                name, Right::wait, object->ownership.rights, object->ownership.owner));
    }

    std::unique_ptr<Wait> wait{new Wait{*this, peer, std::move(charge), request, std::move(wake)}};
    registry_.hear(); // Those who came before are served before.
    if (attempt(*wait))
        return wait;
    if (request.timeout == nanoseconds{0})
        return std::unexpected(refuse::timed_out());

    for (const auto& part : wait->parts_)
        if (auto* object = registry_.find(part.name))
            if (const auto watched = registry_.watch(part.name, *object); !watched) {
                for (const auto& begun : wait->parts_)
                    registry_.reconsider(begun.name);
                return std::unexpected(refuse::system_failure(watched.error()));
            }
    enlist(*wait);
    if (attempt(*wait)) // What was set before the watch began does not ring.
        return wait;

    if (request.timeout) {
        wait->alarm_.emplace(loop_.alarm(monotonic_after(*request.timeout), [this, &late = *wait] {
            registry_.hear(); // What was set in time may not have been told yet.
            if (!late.is_over())
                finish(late, std::unexpected(refuse::timed_out()));
        }));
    }
    return wait;
}

void Waits::enlist(Wait& wait)
{
    wait.place_ = ++last_place_;
    for (const auto& part : wait.parts_)
        queues_[part.name].emplace(wait.place_, &wait);
}

void Waits::withdraw(Wait& wait)
{
    const auto place = std::exchange(wait.place_, 0);
    if (place == 0)
        return;
    for (const auto& part : wait.parts_) {
        const auto queue = queues_.find(part.name);
        queue->second.erase(place);
        if (queue->second.empty())
            queues_.erase(queue);
        registry_.reconsider(part.name);
    }
}

void Waits::finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome)
{
    const bool someone_sleeps = wait.place_ != 0;
    wait.outcome_ = std::move(outcome);
    wait.alarm_.reset();
    withdraw(wait);
    if (someone_sleeps)
        wait.wake_();
}

std::int64_t Waits::waiting_for(const Name& name) const
{
    const auto queue = queues_.find(name);
    return queue == queues_.end() ? 0 : static_cast<std::int64_t>(queue->second.size());
}

// News.

template <class Each>
void Waits::for_each(const Name& name, Each each)
{
    std::uint64_t place = 0;
    while (true) {
        const auto queue = queues_.find(name);
        if (queue == queues_.end())
            return;
        const auto next = queue->second.upper_bound(place);
        if (next == queue->second.end())
            return;
        place = next->first;
        if (!each(*next->second))
            return;
    }
}

void Waits::created(const Name& name, Object& object)
{
    if (waiting_for(name) == 0)
        return;
    if (const auto watched = registry_.watch(name, object); !watched) {
        for_each(name, [&](Wait& wait) {
            finish(wait, std::unexpected(refuse::system_failure(watched.error())));
            return true;
        });
        return;
    }
    for_each(name, [&](Wait& wait) {
        if (access_of(wait.peer_, object.ownership).wait)
            attempt(wait);
        else
            finish(wait, std::unexpected(refuse::not_permitted(
                             name, Right::wait, object.ownership.rights, object.ownership.owner)));
        return true;
    });
}

void Waits::rang(const Name& name, Object& object)
{
    const auto* event = object.event();
    const bool is_manual = object.mode() == Mode::manual;
    for_each(name, [&](Wait& wait) {
        auto& part = wait.part(name);
        if (is_manual) // It was set, whatever it is now.
            part.count = 1;
        if (wait.gather_ == Gather::all)
            attempt_all(wait);
        else
            attempt_any(wait, part);
        return is_manual || event->is_set();
    });
}

void Waits::pulsed(const Name& name, std::int64_t times)
{
    if (waiting_for(name) == 0)
        return;
    registry_.hear(); // Of what else they wait for, who came before is served before.
    for_each(name, [&](Wait& wait) {
        wait.part(name).count += times;
        attempt(wait);
        return true;
    });
}

void Waits::deleted(const Name& name)
{
    for_each(name, [&](Wait& wait) {
        finish(wait, std::unexpected(refuse::deleted(name)));
        return true;
    });
}

// Taking.

bool Waits::attempt(Wait& wait)
{
    if (wait.gather_ == Gather::all)
        return attempt_all(wait);
    return std::ranges::any_of(wait.parts_, [&](auto& part) { return attempt_any(wait, part); });
}

bool Waits::attempt_any(Wait& wait, Wait::Part& part)
{
    auto* object = registry_.find(part.name);
    auto* event = object ? object->event() : nullptr;
    if (part.count == 0 && event) {
        const auto taken =
            event->mode() == Mode::manual ? Result<bool>{event->is_set()} : registry_.take(*event);
        if (!taken) {
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
            return true;
        }
        part.count = *taken ? 1 : 0;
    }
    if (part.count == 0)
        return false;
    finish(wait, protocol::Wait::Reply{{{part.name, part.count}}});
    return true;
}

bool Waits::attempt_all(Wait& wait)
{
    bool is_complete = true;
    std::vector<Event*> to_take;
    for (auto& part : wait.parts_) {
        auto* object = registry_.find(part.name);
        auto* event = object ? object->event() : nullptr;
        if (part.count == 0 && event && event->is_set()) {
            if (event->mode() == Mode::manual)
                part.count = 1;
            else
                to_take.push_back(event);
        } else if (part.count == 0) {
            is_complete = false; // But look at the others: a manual event seen set is enough.
        }
    }
    return is_complete && take_all(wait, to_take);
}

bool Waits::take_all(Wait& wait, const std::vector<Event*>& events)
{
    for (auto event = events.begin(); event != events.end(); ++event) {
        const auto taken = registry_.take(**event);
        if (taken && *taken)
            continue;
        // Someone took it from the descriptor since we looked.
        for (auto back = events.begin(); back != event; ++back)
            if (const auto put = registry_.put_back(**back); !put)
                finish(wait, std::unexpected(refuse::system_failure(put.error())));
        if (!taken)
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
        return wait.is_over();
    }
    protocol::Wait::Reply reply;
    for (const auto& part : wait.parts_)
        reply.fired.push_back({part.name, std::max<std::int64_t>(part.count, 1)});
    finish(wait, std::move(reply));
    return true;
}

} // namespace evfd::daemon
