// The functions of Waits that are called when an object or the policy has changed.
#include "daemon/base/on_stack.h"
#include "daemon/waiting/waits.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace evfd::daemon {

void Waits::on_created(const Name& name, Object& object)
{
    const OnStack<Waits> entered;
    const auto queue_ref = ref(name);
    if (!queue_ref)
        return;
    auto& queue = queue_ref->queue();
    queue.object = &object;
    end_unauthorized(name, queue);
    if (queue.list.empty())
        return;
    if (const auto watched = watch(queue, name, object); !watched)
        return end_all(queue, watched.error());
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
    // The edge shows that the event was set, even if the event is clear by now.
    if (object.mode() == Mode::manual)
        ++queue_ref->queue().sets;
    edge_queues_.push_back(*std::move(queue_ref));
}

// Serves the waits in the order of arrival, whichever of the changed objects changed first.
bool Waits::complete_after_edges()
{
    const OnStack<Waits> entered;
    if (edge_queues_.empty())
        return false;
    ++epoch_;
    struct Next {
        std::uint64_t position; // All waits of the queue before this position have been tried.
        WaitQueue* queue;
    };
    std::vector<Next> all; // A heap with the lowest position at its top.
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
        // The wait at this position can have left the queue meanwhile.
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
        // The iterator moves on first, because a queue without waits is erased when `queue_ref` is
        // destroyed.
        ++next;
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
    for (auto next = queue.list.begin(); next != queue.list.end();) {
        auto& wait = **next++; // finish() removes the wait from the list.
        if (const auto permitted = authorize(wait, name, queue.object); !permitted)
            finish(wait, std::unexpected(permitted.error()));
    }
}

void Waits::end_all(WaitQueue& queue, const Refusal& refusal)
{
    while (!queue.list.empty()) // finish() removes the wait from the list.
        finish(*queue.list.front(), std::unexpected(refusal));
}

} // namespace evfd::daemon
