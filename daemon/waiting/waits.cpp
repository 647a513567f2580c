#include "daemon/waiting/waits.h"

#include "daemon/base/on_stack.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

// Returns why a wait cannot count sets of the object. A manual or an auto event is set or not. A
// wait cannot take several tokens of a semaphore at once yet.
Refusal not_countable(const Name& name, const Object& object)
{
    if (object.mode() == Mode::semaphore)
        return protocol::InvalidParameter{"count"};
    return refuse::wrong_kind(name, object.description(), "a timer or a pulse");
}

std::int64_t required_count(const protocol::WaitItem& item)
{
    return item.count.value_or(protocol::Count{1}).value;
}

// Tokens can be taken from the object, and returned.
bool has_tokens(const Object& object)
{
    const auto mode = object.mode();
    return mode == Mode::automatic || mode == Mode::semaphore;
}

// A wait for a token only needs to know that one is available. For other objects every set counts,
// even one that is cleared at once; but if only the daemon can clear the event, no set is missed.
EdgeMask edges_for(const Object& object)
{
    const auto* event = object.event();
    const bool is_ours = event && event->is_unshared();
    return has_tokens(object) || is_ours ? EdgeMask::readable : EdgeMask::any;
}

} // namespace

// List nodes and queue references.

void ListNode::insert_before(ListNode& other)
{
    unlink();
    previous_ = std::exchange(other.previous_, this);
    next_ = &other;
    previous_->next_ = this;
}

void ListNode::unlink()
{
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = this;
}

Wait* ListNode::advance(const ListNode& list)
{
    auto* next = next_;
    while (next != &list && !next->wait_)
        next = next->next_; // The marker of another iteration.
    if (next == &list)
        return nullptr;
    insert_before(*next->next_);
    return next->wait_;
}

Waits::QueueRef::QueueRef(Queues& queues, Queues::iterator queue) : queues_{&queues}, queue_{queue}
{
    ++queue_->second.refs;
}

Waits::QueueRef::QueueRef(QueueRef&& other) noexcept
    : queues_{std::exchange(other.queues_, nullptr)}, queue_{other.queue_}
{
}

Waits::QueueRef::~QueueRef()
{
    if (queues_ && --queue_->second.refs == 0 && queue_->second.length == 0)
        queues_->erase(queue_);
}

std::optional<Waits::QueueRef> Waits::ref(const Name& name)
{
    const auto queue = queues_.find(name);
    if (queue == queues_.end())
        return {};
    return QueueRef{queues_, queue};
}

// Member functions of Wait.

Wait::Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
           CallId call, std::optional<HoldRequest> hold_request)
    : waits_{waits}, peer_{std::move(peer)}, charge_{std::move(charge)},
      // With one item, any and all are the same, and any is simpler.
      require_{request.items.list.size() == 1 ? Require::any
                                              : request.require.value_or(Require::all)},
      hold_request_{std::move(hold_request)}, session_{call.session},
      taken_{.sequence = call.sequence}, wake_{std::move(wake)}
{
    parts_.reserve(request.items.list.size());
    for (const auto& item : request.items.list)
        parts_.push_back(
            {.name = item.name, .node = ListNode{this}, .required_count = required_count(item)});
}

Wait::~Wait()
{
    std::erase(waits_.started_, this);
    waits_.dequeue(*this);
}

std::optional<Outcome<protocol::Wait::Reply>>& Wait::outcome()
{
    if (is_complete_ && !outcome_) {
        protocol::Wait::Reply reply;
        reply.fired.reserve(parts_.size());
        for (const auto& part : parts_)
            reply.fired.push_back(Waits::fired(*this, part));
        outcome_ = std::move(reply);
    }
    if (outcome_ && *outcome_ && hold_request_)
        (*outcome_)->hold = hold_request_->hold.text();
    return outcome_;
}

void Wait::return_tokens()
{
    waits_.return_tokens(*this);
}

void Wait::confirm_taken(Session& session)
{
    if (taken_.tokens.empty())
        return;
    auto taken = std::exchange(taken_, {});
    if (!hold_request_)
        return waits_.registry_.tokens().confirm_taken(taken);
    waits_.registry_.holds().begin(session, *std::exchange(hold_request_, {}), std::move(taken),
                                   std::move(charge_));
}

void Wait::count(Part& part, std::int64_t times) const
{
    part.count += times;
    part.is_satisfied = part.count >= part.required_count;
}

void Wait::catch_up(Part& part) const
{
    if (!part.queue)
        return;
    part.is_satisfied |= part.queue->sets != std::exchange(part.sets, part.queue->sets);
    const auto before = std::exchange(part.times, part.queue->times);
    if (part.times != before)
        count(part, part.times - before);
}

bool Wait::is_blocked_on(const Part& part) const
{
    return require_ == Require::any || &part == &parts_[blocked_on_];
}

// The start and the end of a wait.

Outcome<void> Waits::check(const Peer& peer, const protocol::Wait& request) const
{
    for (const auto& item : request.items.list) {
        if (item.until == Until::clear) // Not supported yet.
            return std::unexpected(protocol::InvalidParameter{"until"});
        const auto* object = registry_.find(item.name);
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
    if (auto permitted = registry_.authorize(peer, name, object, Permission::wait); !permitted)
        return permitted;
    if (object && options.count > 1 && !object->subscriptions())
        return std::unexpected(not_countable(name, *object));
    if (object && options.is_hold && !has_tokens(*object))
        return std::unexpected(
            refuse::wrong_kind(name, object->description(), "an auto event or a semaphore"));
    // A wait for an object that does not exist yet may turn out to consume nothing.
    if (options.is_hold || (object && has_tokens(*object)))
        return registry_.authorize_consuming(peer, name, object);
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
    // Available tokens produce an edge; other objects that are set already do not.
    bool must_recheck = false;
    for (const auto& part : wait->parts_) {
        auto* object = part.queue->object;
        if (!object)
            continue;
        if (const auto watched = watch(*part.queue, part.name, *object); !watched)
            return std::unexpected(refuse::system_failure(watched.error()));
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
        const auto* object = registry_.find(item.name);
        return waiter_count(item.name) > 0 ||
               (object && Registry::is_watched(*object, EdgeMask::any));
    });
}

Result<void> Waits::watch(WaitQueue& queue, const Name& name, Object& object)
{
    auto interest = registry_.watch(name, object, edges_for(object));
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
        registry_.poll_timer(part.name);
}

void Waits::poll_timers(const Name& name)
{
    const OnStack<Waits> entered;
    const auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    auto& queue = queue_ref->queue();
    ListNode marker;
    marker.insert_after(queue.list);
    while (const auto* wait = marker.advance(queue.list))
        poll_timers(*wait);
}

void Waits::poll_timers() const
{
    for (const auto& [name, queue] : queues_)
        registry_.poll_timer(name);
}

void Waits::count_expired(Wait& wait) const
{
    for (auto& part : wait.parts_) {
        auto* object = registry_.find(part.name);
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
        part.node.insert_before(queue.list);
        ++queue.length;
        queue.object = registry_.find(part.name);
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
        part.node.unlink();
        if (wait.is_blocked_on(part))
            queue.blocked.erase(position);
        monitors_.on_waiters_changed(part.name);
        if (--queue.length > 0)
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
    if (!wait.taken_.tokens.empty()) // Recorded in the same commit as the taking itself.
        record_taken(wait);
    wait.timeout_.reset();
    dequeue(wait);
    if (is_waiting)
        wait.wake_();
}

void Waits::record_taken(Wait& wait)
{
    if (wait.hold_request_)
        registry_.holds().record_taken(wait.session_, wait.peer_.uid, *wait.hold_request_,
                                       wait.taken_);
    else
        registry_.tokens().record_taken(wait.session_, wait.taken_);
}

std::int64_t Waits::waiter_count(const Name& name) const
{
    const auto queue = queues_.find(name);
    return queue == queues_.end() ? 0 : queue->second.length;
}

// Notifications.

void Waits::on_created(const Name& name, Object& object)
{
    const OnStack<Waits> entered;
    const auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    auto& queue = queue_ref->queue();
    queue.object = &object;
    ListNode marker;
    marker.insert_after(queue.list);
    while (auto* wait = marker.advance(queue.list)) {
        auto permitted = authorize(*wait, name, &object);
        if (!permitted)
            finish(*wait, std::unexpected(std::move(permitted.error())));
    }
    if (queue.length == 0)
        return;
    if (const auto watched = watch(queue, name, object); !watched) {
        end_all(queue, refuse::system_failure(watched.error()));
        return;
    }
    if (object.mode() == Mode::manual && object.event()->is_set())
        ++queue.sets;
    queue.changed_in = ++epoch_;
    try_blocked(queue);
}

void Waits::on_edge(const Name& name, Object& object)
{
    const OnStack<Waits> entered;
    auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    if (object.mode() == Mode::manual) // The event was set, even if it is clear by now.
        ++queue_ref->queue().sets;
    edge_queues_.push_back(*std::move(queue_ref));
}

bool Waits::is_set(WaitQueue& queue) const
{
    if (std::exchange(queue.checked_in, epoch_) != epoch_)
        queue.cached_is_set = queue.object->event()->is_set();
    return queue.cached_is_set;
}

// According to the reads of this epoch. A wait for any of several names takes without a read
// before.
bool Waits::may_be_set(const WaitQueue& queue) const
{
    const bool is_known_empty = queue.checked_in == epoch_ && !queue.cached_is_set;
    return queue.object && queue.object->event() &&
           (queue.object->mode() == Mode::manual || !is_known_empty);
}

// A wait for any of several changed objects is served in the order of arrival, whatever changed
// first.
bool Waits::complete_after_edges()
{
    const OnStack<Waits> entered;
    if (edge_queues_.empty())
        return false;
    ++epoch_;
    struct Next {
        std::uint64_t position; // The first that is not tried yet, or a position before it.
        WaitQueue* queue;
    };
    std::vector<Next> all; // A heap with the first position at its top.
    const auto add = [&](Next next) {
        all.push_back(next);
        std::ranges::push_heap(all, std::greater{}, &Next::position);
    };
    for (const auto& queue_ref : edge_queues_)
        if (std::exchange(queue_ref.queue().changed_in, epoch_) != epoch_)
            add({0, &queue_ref.queue()});

    bool any_completed = false;
    while (!all.empty()) {
        std::ranges::pop_heap(all, std::greater{}, &Next::position);
        const auto [position, queue] = all.back();
        all.pop_back();
        // The wait at this position may have left.
        const auto next = queue->blocked.lower_bound(position);
        if (next == queue->blocked.end() || !may_be_set(*queue))
            continue;
        if (next->first != position) {
            add({next->first, queue});
            continue;
        }
        auto& wait = *next->second;
        const auto after = std::next(next);
        if (after != queue->blocked.end())
            add({after->first, queue});
        any_completed |= try_complete(wait);
    }
    edge_queues_.clear();
    return any_completed;
}

void Waits::try_blocked(WaitQueue& queue)
{
    std::uint64_t position = 0;
    for (auto next = queue.blocked.begin(); next != queue.blocked.end();
         next = queue.blocked.upper_bound(position)) {
        position = next->first;
        try_complete(*next->second);
    }
}

void Waits::on_counted(const Name& name, std::int64_t times)
{
    const OnStack<Waits> entered;
    const auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    queue_ref->queue().times += times;
    ++epoch_;
    try_blocked(queue_ref->queue());
}

void Waits::on_cancelled(const Name& name)
{
    const OnStack<Waits> entered;
    if (const auto queue_ref = ref(name))
        end_all(queue_ref->queue(), refuse::cancelled(name));
}

void Waits::on_deleted(const Name& name)
{
    const OnStack<Waits> entered;
    const auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    queue_ref->queue().object = nullptr;
    queue_ref->queue().interest.reset();
    end_all(queue_ref->queue(), refuse::deleted(name));
}

void Waits::on_policy_changed()
{
    const OnStack<Waits> entered;
    for (auto next = queues_.begin(); next != queues_.end();) {
        const QueueRef queue_ref{queues_, next};
        end_unauthorized(next->first, queue_ref.queue());
        ++next; // The queue is erased with its last wait, once `queue_ref` is destroyed.
    }
}

void Waits::on_permissions_changed(const Name& name)
{
    const OnStack<Waits> entered;
    if (const auto queue_ref = ref(name))
        end_unauthorized(name, queue_ref->queue());
}

void Waits::end_unauthorized(const Name& name, WaitQueue& queue)
{
    ListNode marker;
    marker.insert_after(queue.list);
    while (auto* wait = marker.advance(queue.list)) {
        auto permitted = authorize(*wait, name, queue.object);
        if (!permitted)
            finish(*wait, std::unexpected(std::move(permitted.error())));
    }
}

void Waits::end_all(WaitQueue& queue, const Refusal& refusal)
{
    ListNode marker;
    marker.insert_after(queue.list);
    while (auto* wait = marker.advance(queue.list))
        finish(*wait, std::unexpected(refusal));
}

// Taking tokens.

protocol::Fired Waits::fired(const Wait& wait, const Wait::Part& part)
{
    return {part.name, std::max<std::int64_t>(part.count, 1), &part - wait.parts_.data(), part.id};
}

bool Waits::try_complete(Wait& wait)
{
    return wait.require_ == Require::all ? try_complete_all(wait) : try_complete_any(wait);
}

Object* Waits::find_object(const Wait::Part& part) const
{
    return part.queue ? part.queue->object : registry_.find(part.name);
}

// Only for auto events and semaphores: the queue of a manual event records whether it was set.
bool Waits::may_be_taken(const Wait::Part& part) const
{
    const auto* object = find_object(part);
    return object && has_tokens(*object) && (!part.queue || may_be_set(*part.queue));
}

// Returns whether an earlier wait is blocked on the object although the object has not changed in
// this epoch. If the object is set, its edge has not been delivered yet, and that wait is first.
bool Waits::is_behind_others(const Wait& wait, const Wait::Part& part) const
{
    const auto* queue = part.queue;
    return queue && queue->changed_in != epoch_ && !queue->blocked.empty() &&
           queue->blocked.begin()->first < wait.position_;
}

bool Waits::can_be_taken(const Wait& wait, const Wait::Part& part) const
{
    auto* object = find_object(part);
    if (!object || !has_tokens(*object) || is_behind_others(wait, part))
        return false;
    return part.queue ? is_set(*part.queue) : object->event()->is_set();
}

bool Waits::try_complete_any(Wait& wait)
{
    for (auto& part : wait.parts_) {
        wait.catch_up(part);
        const bool has_news = !part.queue || part.queue->changed_in == epoch_;
        if (!part.is_satisfied && has_news && may_be_taken(part)) {
            const auto taken = take(wait, part);
            if (!taken) {
                finish(wait, std::unexpected(refuse::system_failure(taken.error())));
                return true;
            }
            part.is_satisfied = *taken;
        }
        if (part.is_satisfied) {
            part.id = id_of(*find_object(part));
            finish(wait, protocol::Wait::Reply{{fired(wait, part)}});
            return true;
        }
    }
    return false;
}

bool Waits::try_complete_all(Wait& wait)
{
    const auto count = wait.parts_.size();
    for (std::size_t i = 0; i < count; ++i) {
        const auto index = (wait.blocked_on_ + i) % count;
        auto& part = wait.parts_[index];
        wait.catch_up(part);
        if (part.is_satisfied || can_be_taken(wait, part))
            continue;
        block_on(wait, index);
        return false;
    }
    return take_all(wait);
}

bool Waits::take_all(Wait& wait)
{
    registry_.tokens().reserve_takes(wait.parts_.size());
    for (const auto& part : wait.parts_) {
        if (part.is_satisfied)
            continue;
        const auto taken = take(wait, part);
        if (taken && *taken)
            continue;
        return_tokens(wait); // Another process took the token since it was checked.
        if (taken)
            block_on(wait, static_cast<std::size_t>(&part - wait.parts_.data()));
        else
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
        return wait.is_done();
    }
    for (auto& part : wait.parts_)
        part.id = id_of(*find_object(part));
    wait.is_complete_ = true;
    end(wait);
    return true;
}

Result<bool> Waits::take(Wait& wait, const Wait::Part& part)
{
    auto& object = *find_object(part);
    auto taken = registry_.tokens().take(object);
    const bool has_taken = taken && *taken;
    if (has_taken)
        wait.taken_.tokens.push_back({part.name, object.serial});
    if (part.queue) { // After a token was taken there may be more.
        part.queue->checked_in = has_taken ? 0 : epoch_;
        part.queue->cached_is_set = false;
    }
    return taken;
}

void Waits::return_tokens(Wait& wait)
{
    if (wait.taken_.tokens.empty())
        return;
    registry_.tokens().return_tokens(std::span{&wait.taken_, 1});
    wait.taken_.tokens.clear();
}

} // namespace evfd::daemon
