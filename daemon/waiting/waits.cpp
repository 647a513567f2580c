#include "daemon/waiting/waits.h"

#include "daemon/base/on_stack.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

// Returns the refusal for a wait with a `count` above 1 for an object that is neither a pulse nor a
// timer. A manual or an auto event is only set or clear, so there is nothing to count. A wait for
// several tokens of a semaphore is not supported yet.
Refusal not_countable(const Name& name, const Object& object)
{
    if (object.mode() == Mode::semaphore)
        return protocol::InvalidParameter{"count"};
    return refuse::wrong_kind(name, object.description(), "a timer or a pulse");
}

// Returns the edges that a wait for the object needs. A wait for a token only needs to know that a
// token is available. For a manual event every set counts, even a set that is cleared at once. But
// if only the daemon can clear the event, no set is missed, so it is enough to know that the event
// is readable.
EdgeMask edges_for(const Object& object)
{
    const auto* event = object.event();
    const bool is_ours = event && event->is_number();
    return has_tokens(object) || is_ours ? EdgeMask::readable : EdgeMask::any;
}

} // namespace

Waits::QueueRef::QueueRef(Queues& queues, Queues::iterator queue) : queues_{&queues, {queue}}
{
    ++queue->second.refs;
}

void Waits::QueueRef::Release::operator()(Queues* queues) const
{
    if (--queue->second.refs == 0 && queue->second.list.empty())
        queues->erase(queue);
}

std::optional<Waits::QueueRef> Waits::ref(const Name& name)
{
    const auto queue = queues_.find(name);
    if (queue == queues_.end())
        return {};
    return QueueRef{queues_, queue};
}

Outcome<void> Waits::check(const Peer& peer, const protocol::Wait& request) const
{
    for (const auto& item : request.items.list) {
        if (item.until == Until::clear) // Waiting until an object is clear is not supported yet.
            return std::unexpected(protocol::InvalidParameter{"until"});
        const auto* object = registry_.objects.find(item.name);
        if (!object && item.existing.value_or(false))
            return std::unexpected(refuse::no_such_name(item.name));
        const WaitOptions options{required_count(item), request.hold.has_value()};
        if (auto permitted = authorize(peer, item.name, object, options); !permitted)
            return permitted;
    }
    return {};
}

Outcome<void> Waits::authorize(const Wait& wait, const Name& name, const Object* object) const
{
    const auto part = std::ranges::find(wait.parts_, name, &Wait::Part::name);
    return authorize(wait.peer_, name, object,
                     {part->required_count, wait.hold_request_.has_value()});
}

Outcome<void> Waits::authorize(const Peer& peer, const Name& name, const Object* object,
                               WaitOptions options) const
{
    if (auto permitted = registry_.authorization.check(peer, name, object, Permission::wait);
        !permitted)
        return permitted;
    if (object && options.count > 1 && !object->subscriptions())
        return std::unexpected(not_countable(name, *object));
    if (object && options.is_hold && !has_tokens(*object))
        return std::unexpected(
            refuse::wrong_kind(name, object->description(), "an auto event or a semaphore"));
    // A wait for an object that does not exist yet might consume nothing. The permission to consume
    // is therefore not checked yet, unless the wait asks for a hold.
    if (options.is_hold || (object && has_tokens(*object)))
        return registry_.authorization.check_consuming(peer, name, object);
    return {};
}

Outcome<std::unique_ptr<Wait>> Waits::start(const Peer& peer, Quota::Charge charge,
                                            const protocol::Wait& request, Wait::Wake wake,
                                            const Delivered&, CallId call,
                                            std::optional<HoldRequest> hold_request)
{
    const OnStack<Waits> entered;
    if (const auto checked = check(peer, request); !checked)
        return std::unexpected(checked.error());

    std::unique_ptr<Wait> wait{new Wait{*this, peer, std::move(charge), request, std::move(wake),
                                        call, std::move(hold_request)}};
    count_expired(*wait);
    note_set_events(*wait);
    if (try_complete(*wait))
        return wait;
    if (request.timeout == nanoseconds{0})
        return std::unexpected(refuse::timed_out());

    enqueue(*wait);
    // A watch for readable edges begins with an edge if the event is set already. A watch for all
    // edges does not report a set from before the watch, so the wait is checked once more.
    bool must_recheck = false;
    for (const auto& part : wait->parts_) {
        auto* object = part.queue->object;
        if (!object)
            continue;
        if (const auto watched = watch(*part.queue, part.name, *object); !watched)
            return std::unexpected(watched.error());
        must_recheck |= edges_for(*object) == EdgeMask::any;
    }
    if (must_recheck)
        started_.push_back(wait.get());
    if (request.timeout)
        wait->timeout_.emplace(loop_.add_timeout(monotonic_deadline(*request.timeout),
                                                 [this, &late = *wait] { on_timeout_(late); }));
    return wait;
}

bool Waits::needs_edges_first(const protocol::Wait& request) const
{
    return std::ranges::any_of(request.items.list, [&](const protocol::WaitItem& item) {
        const auto* object = registry_.objects.find(item.name);
        return waiter_count(item.name) > 0 || (object && is_watched(*object, EdgeMask::any));
    });
}

Result<void> Waits::watch(WaitQueue& queue, const Name& name, Object& object)
{
    auto interest = registry_.watches.watch(name, object, edges_for(object));
    if (!interest)
        return std::unexpected(interest.error());
    queue.interest.emplace(*std::move(interest));
    return {};
}

void Waits::check_started()
{
    const OnStack<Waits> entered;
    for (auto* wait : std::exchange(started_, {}))
        if (!wait->is_done())
            recheck(*wait);
}

void Waits::recheck(Wait& wait)
{
    count_expired(wait);
    note_set_events(wait);
    ++epoch_;
    for (const auto& part : wait.parts_)
        part.queue->changed_in = epoch_;
    try_complete(wait);
}

void Waits::time_out(Wait& wait)
{
    const OnStack<Waits> entered;
    if (!wait.is_done())
        finish(wait, std::unexpected(refuse::timed_out()));
}

void Waits::poll_timers(const Wait& wait) const
{
    for (const auto& part : wait.parts_)
        registry_.timers.poll(part.name);
}

void Waits::poll_timers(const Name& name)
{
    const OnStack<Waits> entered;
    if (const auto queue_ref = ref(name))
        for (const auto* wait : queue_ref->queue().list)
            poll_timers(*wait);
}

void Waits::poll_timers() const
{
    for (const auto& [name, queue] : queues_)
        registry_.timers.poll(name);
}

void Waits::count_expired(Wait& wait) const
{
    for (auto& part : wait.parts_) {
        auto* object = registry_.objects.find(part.name);
        if (const auto* timer = object ? object->timer() : nullptr; timer && timer->has_expired())
            wait.count(part, part.count == 0 ? 1 : 0);
    }
}

void Waits::note_set_events(Wait& wait) const
{
    for (auto& part : wait.parts_)
        if (auto* object = find_object(part); object && object->mode() == Mode::manual)
            part.is_satisfied |= object->event()->is_set();
}

void Waits::enqueue(Wait& wait)
{
    wait.position_ = ++last_position_;
    for (auto& part : wait.parts_) {
        auto& queue = queues_[part.name];
        part.queue = &queue;
        part.place = queue.list.insert(queue.list.end(), &wait);
        queue.object = registry_.objects.find(part.name);
        part.sets = queue.sets;
        part.times = queue.times;
        if (wait.is_blocked_on(part))
            queue.blocked.emplace_hint(queue.blocked.end(), wait.position_, &wait);
        monitors_.on_waiters_changed(part.name);
    }
}

void Waits::dequeue(Wait& wait)
{
    const auto position = std::exchange(wait.position_, 0);
    if (position == 0)
        return;
    for (auto& part : wait.parts_) {
        auto& queue = *std::exchange(part.queue, nullptr);
        queue.list.erase(part.place);
        if (wait.is_blocked_on(part))
            queue.blocked.erase(position);
        monitors_.on_waiters_changed(part.name);
        if (!queue.list.empty())
            continue;
        queue.interest.reset();
        if (queue.refs == 0)
            queues_.erase(part.name);
    }
}

void Waits::block_on(Wait& wait, std::size_t part)
{
    const auto before = std::exchange(wait.blocked_on_, part);
    if (wait.position_ == 0 || before == part)
        return;
    wait.parts_[before].queue->blocked.erase(wait.position_);
    wait.parts_[part].queue->blocked.emplace(wait.position_, &wait);
}

void Waits::finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome)
{
    wait.outcome_ = std::move(outcome);
    end(wait);
}

void Waits::end(Wait& wait)
{
    const bool is_waiting = wait.position_ != 0;
    // Stages the record of the taken tokens now, so that the next commit says what the tokens are
    // for.
    if (!wait.taken_.tokens.empty())
        record_taken(wait);
    wait.timeout_.reset();
    dequeue(wait);
    if (is_waiting)
        wait.wake_();
}

void Waits::record_taken(Wait& wait)
{
    if (wait.hold_request_)
        registry_.holds.record_taken(wait.session_, wait.peer_.uid, *wait.hold_request_,
                                     wait.taken_);
    else
        registry_.tokens.record_taken(wait.session_, wait.taken_);
}

std::int64_t Waits::waiter_count(const Name& name) const
{
    const auto queue = queues_.find(name);
    return queue == queues_.end() ? 0 : static_cast<std::int64_t>(queue->second.list.size());
}

} // namespace evfd::daemon
