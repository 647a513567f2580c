// The functions of Waits that decide whether a wait is done, and that take its tokens.
#include "daemon/waiting/waits.h"

#include <algorithm>
#include <span>
#include <utility>

namespace evfd::daemon {

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
    return part.queue ? part.queue->object : registry_.objects.find(part.name);
}

// Returns false for a manual event, because a wait takes no token from a manual event. The queue
// counts instead how often the event was set.
bool Waits::may_be_taken(const Wait::Part& part) const
{
    const auto* object = find_object(part);
    return object && has_tokens(*object) && (!part.queue || may_be_set(*part.queue));
}

// Returns whether an earlier wait must be served before this wait. This is the case if an earlier
// wait is blocked on the object and no change of the object was delivered in this epoch (see
// waits.h). If the object is set in this case, its edge is still pending. The earlier wait gets the
// token when the edge is delivered.
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
                finish(wait, std::unexpected(taken.error()));
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
    if (const auto reserved = registry_.tokens.reserve_takes(wait.parts_.size()); !reserved) {
        finish(wait, std::unexpected(reserved.error()));
        return true;
    }
    for (const auto& part : wait.parts_) {
        if (part.is_satisfied)
            continue;
        const auto taken = take(wait, part);
        if (taken && *taken)
            continue;
        return_tokens(wait); // Another process has taken the token since can_be_taken() saw it.
        if (taken)
            block_on(wait, static_cast<std::size_t>(&part - wait.parts_.data()));
        else
            finish(wait, std::unexpected(taken.error()));
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
    auto taken = registry_.tokens.take(object);
    const bool has_taken = taken && *taken;
    if (has_taken) {
        wait.taken_.tokens.push_back({part.name, object.serial});
        registry_.edges.on_taken(part.name, object);
    }
    // After a token was taken, the event can have more tokens, so it must be read again.
    if (part.queue) {
        part.queue->checked_in = has_taken ? 0 : epoch_;
        part.queue->cached_is_set = false;
    }
    return taken;
}

void Waits::return_tokens(Wait& wait)
{
    if (wait.taken_.tokens.empty())
        return;
    registry_.tokens.return_tokens(std::span{&wait.taken_, 1});
    wait.taken_.tokens.clear();
}

bool Waits::is_set(WaitQueue& queue) const
{
    if (std::exchange(queue.checked_in, epoch_) != epoch_)
        queue.cached_is_set = queue.object->event()->is_set();
    return queue.cached_is_set;
}

// Returns whether the object can be set at present. A manual event always can. An auto event or a
// semaphore can, unless a read in this epoch (see waits.h) has shown that it is clear. This
// function does not read the event. A wait that requires any of its items reads the event anyway,
// when the wait tries to take a token.
bool Waits::may_be_set(const WaitQueue& queue) const
{
    const bool is_known_empty = queue.checked_in == epoch_ && !queue.cached_is_set;
    return queue.object && queue.object->event() &&
           (queue.object->mode() == Mode::manual || !is_known_empty);
}

} // namespace evfd::daemon
