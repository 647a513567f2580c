#include "daemon/objects/deadline_queue.h"

#include "common/timerfd.h"
#include "daemon/base/log.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace evfd::daemon {

Timetable::Timetable(EventLoop& loop, Task on_called, Task on_clock_set)
    : loop_{loop}, on_called_{std::move(on_called)}, on_clock_set_{std::move(on_clock_set)}
{
}

Result<void> Timetable::prepare(Clock clock)
{
    auto& place = dials_[static_cast<std::size_t>(clock)];
    if (place)
        return {};
    auto timerfd = make_timerfd(clock);
    if (!timerfd)
        return std::unexpected(timerfd.error());
    auto watch = loop_.watch(*timerfd, EPOLLIN, [this, &place](std::uint32_t) { on_ring(*place); });
    if (!watch)
        return std::unexpected(watch.error());
    place = std::make_unique<Dial>(clock, *std::move(timerfd), *std::move(watch));
    return {};
}

Timetable::Appointment Timetable::add(Clock clock, nanoseconds when, Task task)
{
    auto& dial = *dials_[static_cast<std::size_t>(clock)];
    auto entry = std::make_unique<Entry>(*this, dial, std::move(task), std::nullopt);
    entry->place = dial.entries.emplace(when, entry.get());
    settle(dial);
    return Appointment{std::move(entry)};
}

Timetable::Appointment::~Appointment()
{
    if (!entry_ || !entry_->place)
        return;
    entry_->dial.entries.erase(*entry_->place);
    entry_->table.settle(entry_->dial);
}

bool Timetable::Appointment::is_at(Clock clock, nanoseconds when) const
{
    return entry_->place && entry_->dial.clock == clock && (*entry_->place)->first == when;
}

void Timetable::on_ring(Dial& dial)
{
    dial.is_ringing = true; // It is set once, at the end.
    look_at(dial);
    call_due(dial);
    on_called_();
    dial.is_ringing = false;
    dial.is_stale = true; // It rang, and is set still or not any more.
    settle(dial);
}

void Timetable::look_at_wall_clock()
{
    tell_clock_set();
    for (const auto& dial : dials_) {
        if (!dial || dial->entries.empty() || !is_wall_clock(dial->clock))
            continue;
        dial->is_stale = true; // If it rang, that is read here.
        look_at(*dial);
        settle(*dial);
    }
}

// Whether the wall clock was set: only a read tells.
void Timetable::look_at(Dial& dial)
{
    if (const auto taken = take_expirations(dial.timerfd);
        !taken && taken.error().error == ECANCELED)
        on_clock_set_();
}

void Timetable::tell_clock_set()
{
    if (std::exchange(clock_was_set_, false))
        on_clock_set_();
}

void Timetable::call_due(Dial& dial)
{
    const auto end = monotonic_after(max_turn);
    const auto now = now_on(dial.clock);
    while (!dial.entries.empty() && dial.entries.begin()->first <= now && monotonic_now() < end) {
        auto& entry = *dial.entries.begin()->second;
        dial.entries.erase(dial.entries.begin());
        entry.place.reset();
        const auto task = std::move(entry.task); // Which may well end the appointment.
        task();
    }
}

void Timetable::settle(Dial& dial)
{
    const auto earliest = dial.entries.empty() ? std::optional<nanoseconds>{}
                                               : std::max(dial.entries.begin()->first,
                                                          nanoseconds{1}); // 0 would disarm it.
    if (dial.is_ringing || (earliest == dial.set_to && !dial.is_stale))
        return;
    dial.set_to = earliest;
    dial.is_stale = false;
    const auto done =
        set(dial.timerfd, {.first = earliest.value_or(nanoseconds{0}),
                           .cancel_on_clock_change = earliest && is_wall_clock(dial.clock)});
    if (done)
        return;
    if (done.error().error != ECANCELED) {
        log::error("cannot set a timer: {}", done.error().message());
        return;
    }
    clock_was_set_ = true; // No read will tell it again.
    loop_.defer([this] { tell_clock_set(); });
}

} // namespace evfd::daemon
