#include "daemon/objects/deadline_queue.h"

#include "common/time_slice.h"
#include "common/timerfd.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace evfd::daemon {

DeadlineQueue::DeadlineQueue(EventLoop& loop, Task deliver, Charge charge, Task on_clock_set)
    : loop_{loop}, deliver_{std::move(deliver)}, charge_{std::move(charge)},
      on_clock_set_{std::move(on_clock_set)}
{
}

Result<void> DeadlineQueue::prepare(Clock clock)
{
    auto& queue = queues_[static_cast<std::size_t>(clock)];
    if (queue)
        return {};
    auto timerfd = make_timerfd(clock);
    if (!timerfd)
        return std::unexpected(timerfd.error());
    auto watch = loop_.watch(*timerfd, EPOLLIN,
                             [this, &queue](std::uint32_t) { on_timerfd_readable(*queue); });
    if (!watch)
        return std::unexpected(watch.error());
    queue = std::make_unique<ClockQueue>(clock, *std::move(timerfd), *std::move(watch));
    return {};
}

DeadlineQueue::Deadline DeadlineQueue::add(Clock clock, nanoseconds when, uid_t payer, Task task)
{
    auto& queue = *queues_[static_cast<std::size_t>(clock)];
    auto entry = std::make_unique<Entry>(*this, queue, payer, std::move(task), std::nullopt);
    entry->position = queue.entries.emplace(when, entry.get());
    program(queue);
    return Deadline{std::move(entry)};
}

DeadlineQueue::Entry::~Entry()
{
    if (!position)
        return;
    queue.entries.erase(*position);
    owner.program(queue);
}

bool DeadlineQueue::Deadline::is_at(Clock clock, nanoseconds when) const
{
    return entry_->position && entry_->queue.clock == clock && (*entry_->position)->first == when;
}

void DeadlineQueue::on_timerfd_readable(ClockQueue& queue)
{
    // Makes program() do nothing until run_due() has returned.
    queue.is_running = true;
    if (read_timerfd(queue)) {
        on_clock_set_();
        deliver_();
    }
    run_due(queue);
    queue.is_running = false;
    // The timerfd is disarmed if it has expired, but still armed if it only reported a clock
    // change. In either case the timerfd must be programmed again.
    queue.is_stale = true;
    program(queue);
}

bool DeadlineQueue::check_wall_clock()
{
    bool was_set = std::exchange(clock_was_set_, false);
    for (const auto& queue : queues_) {
        if (!queue || queue->entries.empty() || !is_wall_clock(queue->clock))
            continue;
        // The timerfd must be programmed again, because read_timerfd() can consume an expiration.
        queue->is_stale = true;
        was_set |= read_timerfd(*queue);
        program(*queue);
    }
    return was_set;
}

// Reads the timerfd. Returns whether the wall clock was set: the read fails with ECANCELED in this
// case.
bool DeadlineQueue::read_timerfd(ClockQueue& queue)
{
    const auto taken = take_expirations(queue.timerfd);
    return !taken && taken.error().error == ECANCELED;
}

void DeadlineQueue::report_clock_set()
{
    if (!std::exchange(clock_was_set_, false))
        return;
    on_clock_set_();
    deliver_();
}

void DeadlineQueue::run_due(ClockQueue& queue)
{
    const TimeSlice slice{max_due_tasks_time};
    const auto now = now_on(queue.clock);
    while (!queue.entries.empty() && queue.entries.begin()->first <= now && slice.left()) {
        auto& entry = *queue.entries.begin()->second;
        queue.entries.erase(queue.entries.begin());
        entry.position.reset();
        const auto payer = entry.payer;
        // The task is moved out of the entry, because the task can destroy its own Deadline and so
        // the entry.
        const auto task = std::move(entry.task);
        const auto begin = monotonic_now();
        task();
        deliver_();
        charge_(payer, monotonic_now() - begin);
    }
}

void DeadlineQueue::program(ClockQueue& queue)
{
    // The time is at least 1 ns, because a time of 0 would disarm the timerfd.
    const auto earliest = queue.entries.empty()
                              ? std::optional<nanoseconds>{}
                              : std::max(queue.entries.begin()->first, nanoseconds{1});
    if (queue.is_running || (earliest == queue.programmed_for && !queue.is_stale))
        return;
    queue.programmed_for = earliest;
    queue.is_stale = false;
    const auto done =
        set(queue.timerfd, {.first = earliest.value_or(nanoseconds{0}),
                            .cancel_on_clock_change = earliest && is_wall_clock(queue.clock)});
    if (done)
        return;
    if (done.error().error != ECANCELED) {
        log_.error({}, "cannot program a timerfd: {}", done.error().message());
        return;
    }
    // If set() fails with ECANCELED, somebody has set the wall clock. Later reads of the timerfd do
    // not report this change, so a deferred task reports the change.
    clock_was_set_ = true;
    loop_.defer([this] { report_clock_set(); });
}

} // namespace evfd::daemon
