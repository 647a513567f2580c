#include "daemon/waits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

Refusal not_counted(const Name& name, const Object& object)
{
    return refuse::wrong_kind(name, object.described(), "a timer or a pulse");
}

} // namespace

Wait::Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
           CallId call)
    : waits_{waits}, peer_{std::move(peer)}, charge_{std::move(charge)},
      gather_{request.gather.value_or(Gather::all)},
      wanted_{request.count.value_or(protocol::Count{1}).value}, session_{call.session},
      takings_{.call = call.call}, wake_{std::move(wake)}
{
    for (const auto& name : request.names.list)
        parts_.push_back({name});
}

Wait::~Wait()
{
    waits_.withdraw(*this);
}

bool Wait::waits_for(const Name& name) const
{
    return std::ranges::find(parts_, name, &Part::name) != parts_.end();
}

void Wait::undo()
{
    waits_.put_back(*this);
}

void Wait::settle()
{
    if (!std::exchange(takings_.taken, {}).empty())
        waits_.registry_.settle(takings_);
}

Wait::Part& Wait::part(const Name& name)
{
    return *std::ranges::find(parts_, name, &Part::name);
}

void Wait::count(Part& part, std::int64_t times) const
{
    part.count += times;
    part.is_released = part.count >= wanted_;
}

// Beginning and end.

Outcome<void> Waits::check(const Peer& peer, const protocol::Wait& request) const
{
    for (const auto& name : request.names.list) {
        const auto* object = registry_.find(name);
        if (!object && request.existing.value_or(false))
            return std::unexpected(refuse::no_such_name(name));
        if (auto permitted = registry_.permit(peer, name, object, Right::wait); !permitted)
            return std::unexpected(std::move(permitted.error()));
        if (object && !object->followers() && request.count.value_or(protocol::Count{1}).value > 1)
            return std::unexpected(not_counted(name, *object));
    }
    return {};
}

Outcome<std::unique_ptr<Wait>> Waits::start(const Peer& peer, Quota::Charge charge,
                                            const protocol::Wait& request, Wait::Wake wake,
                                            CallId call)
{
    if (const auto checked = check(peer, request); !checked)
        return std::unexpected(checked.error());

    std::unique_ptr<Wait> wait{
        new Wait{*this, peer, std::move(charge), request, std::move(wake), call}};
    hear(*wait); // Those who came before are served before.
    count_expired(*wait);
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
    count_expired(*wait);
    if (attempt(*wait)) // What was set before the watch began does not ring.
        return wait;

    if (request.timeout) {
        wait->alarm_.emplace(loop_.alarm(monotonic_after(*request.timeout), [this, &late = *wait] {
            hear(late); // What was set in time may not have been told yet.
            if (!late.is_over())
                finish(late, std::unexpected(refuse::timed_out()));
        }));
    }
    return wait;
}

void Waits::hear(const Wait& wait)
{
    for (const auto& part : wait.parts_)
        registry_.look(part.name);
    registry_.hear();
}

void Waits::count_expired(Wait& wait) const
{
    for (auto& part : wait.parts_) {
        auto* object = registry_.find(part.name);
        if (const auto* timer = object ? object->timer() : nullptr; timer && timer->has_expired())
            wait.count(part, part.count == 0 ? 1 : 0);
    }
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
    if (!wait.takings_.taken.empty()) // In the same commit as what is noted of the taking itself.
        registry_.keep_takings(wait.session_, wait.takings_);
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

Wait* Waits::next_in(const Name& name, std::uint64_t place)
{
    const auto queue = queues_.find(name);
    if (queue == queues_.end())
        return nullptr;
    const auto next = queue->second.upper_bound(place);
    return next == queue->second.end() ? nullptr : next->second;
}

template <class Each>
void Waits::for_each(const Name& name, Each each)
{
    std::uint64_t place = 0;
    while (auto* wait = next_in(name, place)) {
        place = wait->place_;
        if (!each(*wait))
            return;
    }
}

void Waits::created(const Name& name, Object& object)
{
    for_each(name, [&](Wait& wait) {
        if (auto permitted = registry_.permit(wait.peer_, name, &object, Right::wait); !permitted)
            finish(wait, std::unexpected(std::move(permitted.error())));
        else if (wait.wanted_ > 1 && !object.followers())
            finish(wait, std::unexpected(not_counted(name, object)));
        return true;
    });
    if (waiting_for(name) == 0)
        return;
    if (const auto watched = registry_.watch(name, object); !watched) {
        end_all(name, refuse::system_failure(watched.error()));
        return;
    }
    for_each(name, [&](Wait& wait) {
        attempt(wait);
        return true;
    });
}

void Waits::rang(const Name& name, Object& object)
{
    if (object.mode() == Mode::manual) // It was set, whatever it is now.
        for_each(name, [&](Wait& wait) {
            wait.part(name).is_released = true;
            return true;
        });
    if (waiting_for(name) > 0)
        rung_.push_back({name, 0});
}

bool Waits::has_something(const Name& name) const
{
    auto* object = registry_.find(name);
    auto* event = object ? object->event() : nullptr;
    return event && (event->mode() == Mode::manual || event->is_set());
}

// Whoever waits for any of what rang is served in the order of arrival, whatever rang first.
bool Waits::heard()
{
    bool is_any_over = false;
    std::erase_if(rung_, [&](const Ring& ring) { return !has_something(ring.name); });
    while (auto* wait = first_rung()) {
        for (auto& ring : rung_)
            ring.place = std::max(ring.place, wait->place_);
        if (!attempt(*wait))
            continue;
        is_any_over = true;
        std::erase_if(rung_, [&](const Ring& ring) {
            return wait->waits_for(ring.name) && !has_something(ring.name);
        });
    }
    rung_.clear();
    return is_any_over;
}

Wait* Waits::first_rung()
{
    Wait* first = nullptr;
    for (const auto& ring : rung_)
        if (auto* next = next_in(ring.name, ring.place);
            next && (!first || next->place_ < first->place_))
            first = next;
    return first;
}

void Waits::counted(const Name& name, std::int64_t times)
{
    if (waiting_for(name) == 0)
        return;
    registry_.hear(); // Of what else they wait for, who came before is served before.
    for_each(name, [&](Wait& wait) {
        wait.count(wait.part(name), times);
        attempt(wait);
        return true;
    });
}

void Waits::cancelled(const Name& name)
{
    end_all(name, refuse::cancelled(name));
}

void Waits::deleted(const Name& name)
{
    end_all(name, refuse::deleted(name));
}

void Waits::policy_changed()
{
    for (auto queue = queues_.begin(); queue != queues_.end();) {
        const auto name = queue->first; // The queue goes with its last wait.
        for_each(name, [&](Wait& wait) {
            auto permitted = registry_.permit(wait.peer_, name, nullptr, Right::wait);
            if (permitted)
                return true;
            hear(wait); // What was set until now, it still has.
            if (!wait.is_over())
                finish(wait, std::unexpected(std::move(permitted.error())));
            return true;
        });
        queue = queues_.upper_bound(name);
    }
}

void Waits::end_all(const Name& name, const Refusal& refusal)
{
    for_each(name, [&](Wait& wait) {
        finish(wait, std::unexpected(refusal));
        return true;
    });
}

// Taking.

protocol::Fired Waits::fired(const Wait::Part& part)
{
    return {part.name, std::max<std::int64_t>(part.count, 1)};
}

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
    if (!part.is_released && event) {
        const auto taken = event->mode() == Mode::manual ? Result<bool>{event->is_set()}
                                                         : take(wait, part, *object);
        if (!taken) {
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
            return true;
        }
        part.is_released = *taken;
    }
    if (!part.is_released)
        return false;
    finish(wait, protocol::Wait::Reply{{fired(part)}});
    return true;
}

bool Waits::attempt_all(Wait& wait)
{
    bool is_complete = true;
    std::vector<Wait::Part*> to_take;
    for (auto& part : wait.parts_) {
        if (part.is_released)
            continue;
        auto* object = registry_.find(part.name);
        auto* event = object ? object->event() : nullptr;
        if (!event || !event->is_set())
            is_complete = false; // But look at the others: a manual event seen set is enough.
        else if (event->mode() == Mode::manual)
            part.is_released = true;
        else
            to_take.push_back(&part);
    }
    return is_complete && take_all(wait, to_take);
}

bool Waits::take_all(Wait& wait, const std::vector<Wait::Part*>& parts)
{
    for (const auto* part : parts) {
        const auto taken = take(wait, *part, *registry_.find(part->name));
        if (taken && *taken)
            continue;
        put_back(wait); // Someone took it from the descriptor since we looked.
        if (!taken)
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
        return wait.is_over();
    }
    protocol::Wait::Reply reply;
    for (const auto& part : wait.parts_)
        reply.fired.push_back(fired(part));
    finish(wait, std::move(reply));
    return true;
}

Result<bool> Waits::take(Wait& wait, const Wait::Part& part, Object& object)
{
    auto taken = registry_.take(object);
    if (taken && *taken)
        wait.takings_.taken.push_back({part.name, object.serial});
    return taken;
}

void Waits::put_back(Wait& wait)
{
    if (wait.takings_.taken.empty())
        return;
    registry_.put_back(wait.takings_);
    wait.takings_.taken.clear();
}

} // namespace evfd::daemon
