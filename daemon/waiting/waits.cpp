#include "daemon/waiting/waits.h"

#include <algorithm>
#include <utility>

namespace evfd::daemon {

namespace {

Refusal not_counted(const Name& name, const Object& object)
{
    return refuse::wrong_kind(name, object.described(), "a timer or a pulse");
}

// A token of it can be taken, and given back.
bool has_tokens(const Object& object)
{
    const auto mode = object.mode();
    return mode == Mode::automatic || mode == Mode::semaphore;
}

// Of a token it is enough that it is there; of all else each time counts. Where nobody but us can
// clear it, no set is missed.
Heed heed_for(const Object& object)
{
    const auto* event = object.event();
    const bool is_ours = event && event->is_ours_alone();
    return has_tokens(object) || is_ours ? Heed::sets : Heed::everything;
}

} // namespace

// Places.

void Link::stand_before(Link& other)
{
    leave();
    previous_ = std::exchange(other.previous_, this);
    next_ = &other;
    previous_->next_ = this;
}

void Link::leave()
{
    previous_->next_ = next_;
    next_->previous_ = previous_;
    previous_ = next_ = this;
}

Wait* Link::pass_next(const Link& ring)
{
    auto* next = next_;
    while (next != &ring && !next->wait_)
        next = next->next_; // Somebody else's mark.
    if (next == &ring)
        return nullptr;
    stand_before(*next->next_);
    return next->wait_;
}

Waits::Hold::Hold(Queues& queues, Queues::iterator queue) : queues_{&queues}, queue_{queue}
{
    ++queue_->second.holds;
}

Waits::Hold::Hold(Hold&& other) noexcept
    : queues_{std::exchange(other.queues_, nullptr)}, queue_{other.queue_}
{
}

Waits::Hold::~Hold()
{
    if (queues_ && --queue_->second.holds == 0 && queue_->second.length == 0)
        queues_->erase(queue_);
}

std::optional<Waits::Hold> Waits::hold(const Name& name)
{
    const auto queue = queues_.find(name);
    if (queue == queues_.end())
        return {};
    return Hold{queues_, queue};
}

// One wait.

Wait::Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
           CallId call, std::optional<Lending> lending)
    : waits_{waits}, peer_{std::move(peer)}, charge_{std::move(charge)},
      gather_{request.names.list.size() == 1 ? Gather::any // Which is all, and simpler.
                                             : request.gather.value_or(Gather::all)},
      wanted_{request.count.value_or(protocol::Count{1}).value}, lending_{std::move(lending)},
      session_{call.session}, takings_{.call = call.call}, wake_{std::move(wake)}
{
    parts_.reserve(request.names.list.size());
    for (const auto& name : request.names.list)
        parts_.push_back({.name = name, .link = Link{this}});
}

Wait::~Wait()
{
    waits_.withdraw(*this);
}

std::optional<Outcome<protocol::Wait::Reply>>& Wait::outcome()
{
    if (is_complete_ && !outcome_) {
        protocol::Wait::Reply reply;
        reply.fired.reserve(parts_.size());
        for (const auto& part : parts_)
            reply.fired.push_back(Waits::fired(part));
        outcome_ = std::move(reply);
    }
    if (outcome_ && *outcome_ && lending_)
        (*outcome_)->hold = lending_->hold.text();
    return outcome_;
}

void Wait::undo()
{
    waits_.put_back(*this);
}

void Wait::settle(Session& session)
{
    if (takings_.taken.empty())
        return;
    auto takings = std::exchange(takings_, {});
    if (!lending_)
        return waits_.registry_.settle(takings);
    waits_.registry_.holds().begin(session, *std::exchange(lending_, {}), std::move(takings),
                                   std::move(charge_));
}

void Wait::count(Part& part, std::int64_t times) const
{
    part.count += times;
    part.is_released = part.count >= wanted_;
}

void Wait::catch_up(Part& part) const
{
    if (!part.queue)
        return;
    part.is_released |= part.queue->sets != std::exchange(part.sets, part.queue->sets);
    const auto before = std::exchange(part.times, part.queue->times);
    if (part.times != before)
        count(part, part.times - before);
}

bool Wait::hangs_on(const Part& part) const
{
    return gather_ == Gather::any || &part == &parts_[hangs_on_];
}

// Beginning and end.

Outcome<void> Waits::check(const Peer& peer, const protocol::Wait& request) const
{
    for (const auto& name : request.names.list) {
        const auto* object = registry_.find(name);
        if (!object && request.existing.value_or(false))
            return std::unexpected(refuse::no_such_name(name));
        const Manner manner{request.count.value_or(protocol::Count{1}).value,
                            request.hold.value_or(false)};
        if (auto permitted = permit(peer, name, object, manner); !permitted)
            return permitted;
    }
    return {};
}

Outcome<void> Waits::permit(const Peer& peer, const Name& name, const Object* object,
                            Manner manner) const
{
    if (auto permitted = registry_.permit(peer, name, object, Right::wait); !permitted)
        return permitted;
    if (object && manner.wanted > 1 && !object->followers())
        return std::unexpected(not_counted(name, *object));
    if (object && manner.holds && !has_tokens(*object))
        return std::unexpected(
            refuse::wrong_kind(name, object->described(), "an auto event or a semaphore"));
    // A wait for what is not there yet may turn out to consume nothing.
    if (manner.holds || (object && has_tokens(*object)))
        return registry_.permit_consuming(peer, name, object);
    return {};
}

Outcome<std::unique_ptr<Wait>> Waits::start(const Peer& peer, Quota::Charge charge,
                                            const protocol::Wait& request, Wait::Wake wake,
                                            CallId call, std::optional<Lending> lending)
{
    if (const auto checked = check(peer, request); !checked)
        return std::unexpected(checked.error());

    std::unique_ptr<Wait> wait{new Wait{*this, peer, std::move(charge), request, std::move(wake),
                                        call, std::move(lending)}};
    if (must_hear_first(*wait))
        hear(*wait);
    count_expired(*wait);
    note_set(*wait);
    if (attempt(*wait))
        return wait;
    if (request.timeout == nanoseconds{0})
        return std::unexpected(refuse::timed_out());

    // It stands in its queues before anything is watched for it: to watch may be to hear what rang,
    // and then those who waited before may go, and with the last of them the watch.
    enlist(*wait);
    bool must_look_again = false; // Tokens that are there already ring; what else was set does not.
    for (const auto& part : wait->parts_) {
        auto* object = registry_.find(part.name);
        if (!object || wait->is_over())
            continue;
        const auto heed = heed_for(*object);
        if (const auto watched = registry_.watch(part.name, *object, heed); !watched)
            return std::unexpected(refuse::system_failure(watched.error()));
        must_look_again |= heed == Heed::everything;
    }
    if (wait->is_over() || (must_look_again && look_again(*wait)))
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

// Those who came before are served before; and what rings of what was before is not for it.
bool Waits::must_hear_first(const Wait& wait) const
{
    return std::ranges::any_of(wait.parts_, [&](const Wait::Part& part) {
        const auto* object = registry_.find(part.name);
        return waiting_for(part.name) > 0 ||
               (object && Registry::is_watched(*object, Heed::everything));
    });
}

bool Waits::look_again(Wait& wait)
{
    count_expired(wait);
    note_set(wait);
    ++round_;
    for (const auto& part : wait.parts_)
        part.queue->news_in = round_;
    return attempt(wait);
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

void Waits::note_set(Wait& wait) const
{
    for (auto& part : wait.parts_)
        if (auto* object = object_of(part); object && object->mode() == Mode::manual)
            part.is_released |= object->event()->is_set();
}

void Waits::enlist(Wait& wait)
{
    wait.place_ = ++last_place_;
    for (auto& part : wait.parts_) {
        auto& queue = queues_[part.name];
        part.queue = &queue;
        part.link.stand_before(queue.ring);
        ++queue.length;
        queue.object = registry_.find(part.name);
        part.sets = queue.sets;
        part.times = queue.times;
        if (wait.hangs_on(part))
            queue.hanging.emplace_hint(queue.hanging.end(), wait.place_, &wait);
        attended_(part.name);
    }
}

void Waits::withdraw(Wait& wait)
{
    const auto place = std::exchange(wait.place_, 0);
    if (place == 0)
        return;
    for (auto& part : wait.parts_) {
        auto& queue = *std::exchange(part.queue, nullptr);
        part.link.leave();
        if (wait.hangs_on(part))
            queue.hanging.erase(place);
        attended_(part.name);
        if (--queue.length > 0)
            continue;
        if (queue.holds == 0)
            queues_.erase(part.name);
        registry_.reconsider(part.name);
    }
}

void Waits::hang_on(Wait& wait, std::size_t part)
{
    const auto before = std::exchange(wait.hangs_on_, part);
    if (wait.place_ == 0 || before == part)
        return;
    wait.parts_[before].queue->hanging.erase(wait.place_);
    wait.parts_[part].queue->hanging.emplace(wait.place_, &wait);
}

void Waits::finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome)
{
    wait.outcome_ = std::move(outcome);
    end(wait);
}

void Waits::end(Wait& wait)
{
    const bool someone_sleeps = wait.place_ != 0;
    if (!wait.takings_.taken.empty()) // In the same commit as what is noted of the taking itself.
        keep_taken(wait);
    wait.alarm_.reset();
    withdraw(wait);
    if (someone_sleeps)
        wait.wake_();
}

void Waits::keep_taken(Wait& wait)
{
    if (wait.lending_)
        registry_.holds().keep_taken(wait.session_, wait.peer_.uid, *wait.lending_, wait.takings_);
    else
        registry_.keep_takings(wait.session_, wait.takings_);
}

std::int64_t Waits::waiting_for(const Name& name) const
{
    const auto queue = queues_.find(name);
    return queue == queues_.end() ? 0 : queue->second.length;
}

// News.

void Waits::created(const Name& name, Object& object)
{
    const auto held = hold(name);
    if (!held)
        return;
    auto& queue = held->queue();
    queue.object = &object;
    Link mark;
    mark.stand_behind(queue.ring);
    while (auto* wait = mark.pass_next(queue.ring)) {
        auto permitted =
            permit(wait->peer_, name, &object, {wait->wanted_, wait->lending_.has_value()});
        if (!permitted)
            finish(*wait, std::unexpected(std::move(permitted.error())));
    }
    if (queue.length == 0)
        return;
    if (const auto watched = registry_.watch(name, object, heed_for(object)); !watched) {
        end_all(queue, refuse::system_failure(watched.error()));
        return;
    }
    if (object.mode() == Mode::manual && object.event()->is_set())
        ++queue.sets;
    queue.news_in = ++round_;
    serve(queue);
}

void Waits::rang(const Name& name, Object& object)
{
    auto held = hold(name);
    if (!held)
        return;
    if (object.mode() == Mode::manual) // It was set, whatever it is now.
        ++held->queue().sets;
    rung_.push_back(*std::move(held));
}

bool Waits::is_set(Queue& queue) const
{
    if (std::exchange(queue.looked_in, round_) != round_)
        queue.was_set = queue.object->event()->is_set();
    return queue.was_set;
}

// As far as was seen in this round: who waits for any of several takes without looking before.
bool Waits::may_have_something(const Queue& queue) const
{
    const bool is_known_empty = queue.looked_in == round_ && !queue.was_set;
    return queue.object && queue.object->event() &&
           (queue.object->mode() == Mode::manual || !is_known_empty);
}

// Whoever waits for any of what rang is served in the order of arrival, whatever rang first.
bool Waits::heard()
{
    ++round_;
    struct Next {
        std::uint64_t place; // The first that is not served yet, or somewhere before it.
        Queue* queue;
    };
    std::vector<Next> all; // A heap, the first place at its top.
    const auto add = [&](Next next) {
        all.push_back(next);
        std::ranges::push_heap(all, std::greater{}, &Next::place);
    };
    for (const auto& held : rung_)
        if (std::exchange(held.queue().news_in, round_) != round_)
            add({0, &held.queue()});

    bool is_any_over = false;
    while (!all.empty()) {
        std::ranges::pop_heap(all, std::greater{}, &Next::place);
        const auto [place, queue] = all.back();
        all.pop_back();
        const auto next = queue->hanging.lower_bound(place); // Who was there may have gone.
        if (next == queue->hanging.end() || !may_have_something(*queue))
            continue;
        if (next->first != place) {
            add({next->first, queue});
            continue;
        }
        auto& wait = *next->second;
        const auto after = std::next(next);
        if (after != queue->hanging.end())
            add({after->first, queue});
        is_any_over |= attempt(wait);
    }
    rung_.clear();
    return is_any_over;
}

void Waits::serve(Queue& queue)
{
    std::uint64_t place = 0;
    for (auto next = queue.hanging.begin(); next != queue.hanging.end();
         next = queue.hanging.upper_bound(place)) {
        place = next->first;
        attempt(*next->second);
    }
}

void Waits::counted(const Name& name, std::int64_t times)
{
    const auto held = hold(name);
    if (!held)
        return;
    registry_.hear(); // Of what else they wait for, who came before is served before.
    held->queue().times += times;
    ++round_;
    serve(held->queue());
}

void Waits::cancelled(const Name& name)
{
    if (const auto held = hold(name))
        end_all(held->queue(), refuse::cancelled(name));
}

void Waits::deleted(const Name& name)
{
    const auto held = hold(name);
    if (!held)
        return;
    held->queue().object = nullptr;
    end_all(held->queue(), refuse::deleted(name));
}

void Waits::policy_changed()
{
    for (auto next = queues_.begin(); next != queues_.end();) {
        const Hold held{queues_, next};
        end_unpermitted(next->first, held.queue());
        ++next; // The queue goes with its last wait, once it is not held.
    }
}

void Waits::rights_changed(const Name& name)
{
    if (const auto held = hold(name))
        end_unpermitted(name, held->queue());
}

void Waits::end_unpermitted(const Name& name, Queue& queue)
{
    Link mark;
    mark.stand_behind(queue.ring);
    while (auto* wait = mark.pass_next(queue.ring)) {
        auto permitted =
            permit(wait->peer_, name, queue.object, {wait->wanted_, wait->lending_.has_value()});
        if (permitted)
            continue;
        hear(*wait); // What was set until now, it still has.
        if (!wait->is_over())
            finish(*wait, std::unexpected(std::move(permitted.error())));
    }
}

void Waits::end_all(Queue& queue, const Refusal& refusal)
{
    Link mark;
    mark.stand_behind(queue.ring);
    while (auto* wait = mark.pass_next(queue.ring))
        finish(*wait, std::unexpected(refusal));
}

// Taking.

protocol::Fired Waits::fired(const Wait::Part& part)
{
    return {part.name, std::max<std::int64_t>(part.count, 1)};
}

bool Waits::attempt(Wait& wait)
{
    return wait.gather_ == Gather::all ? attempt_all(wait) : attempt_any(wait);
}

Object* Waits::object_of(const Wait::Part& part) const
{
    return part.queue ? part.queue->object : registry_.find(part.name);
}

// Of a manual event it is enough that it was set; that is in its queue.
bool Waits::may_be_taken(const Wait::Part& part) const
{
    const auto* object = object_of(part);
    return object && has_tokens(*object) && (!part.queue || may_have_something(*part.queue));
}

bool Waits::can_be_taken(const Wait::Part& part) const
{
    auto* object = object_of(part);
    if (!object || !has_tokens(*object))
        return false;
    return part.queue ? is_set(*part.queue) : object->event()->is_set();
}

bool Waits::attempt_any(Wait& wait)
{
    for (auto& part : wait.parts_) {
        wait.catch_up(part);
        const bool has_news = !part.queue || part.queue->news_in == round_;
        if (!part.is_released && has_news && may_be_taken(part)) {
            const auto taken = take(wait, part);
            if (!taken) {
                finish(wait, std::unexpected(refuse::system_failure(taken.error())));
                return true;
            }
            part.is_released = *taken;
        }
        if (part.is_released) {
            finish(wait, protocol::Wait::Reply{{fired(part)}});
            return true;
        }
    }
    return false;
}

bool Waits::attempt_all(Wait& wait)
{
    const auto count = wait.parts_.size();
    for (std::size_t i = 0; i < count; ++i) {
        const auto index = (wait.hangs_on_ + i) % count;
        auto& part = wait.parts_[index];
        wait.catch_up(part);
        if (part.is_released || can_be_taken(part))
            continue;
        hang_on(wait, index);
        return false;
    }
    return take_all(wait);
}

bool Waits::take_all(Wait& wait)
{
    registry_.vault().make_room_for_takings(wait.parts_.size());
    for (const auto& part : wait.parts_) {
        if (part.is_released)
            continue;
        const auto taken = take(wait, part);
        if (taken && *taken)
            continue;
        put_back(wait); // Someone took it from the descriptor since we looked.
        if (taken)
            hang_on(wait, static_cast<std::size_t>(&part - wait.parts_.data()));
        else
            finish(wait, std::unexpected(refuse::system_failure(taken.error())));
        return wait.is_over();
    }
    wait.is_complete_ = true;
    end(wait);
    return true;
}

Result<bool> Waits::take(Wait& wait, const Wait::Part& part)
{
    auto& object = *object_of(part);
    auto taken = registry_.take(object);
    const bool has_taken = taken && *taken;
    if (has_taken)
        wait.takings_.taken.push_back({part.name, object.serial});
    if (part.queue) { // After a taking there may be more.
        part.queue->looked_in = has_taken ? 0 : round_;
        part.queue->was_set = false;
    }
    return taken;
}

void Waits::put_back(Wait& wait)
{
    if (wait.takings_.taken.empty())
        return;
    registry_.put_back(std::span{&wait.takings_, 1});
    wait.takings_.taken.clear();
}

} // namespace evfd::daemon
