#include "daemon/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace evfd::daemon {

namespace {

std::uint64_t token(std::uint32_t slot, std::uint32_t generation)
{
    return std::uint64_t{generation} << 32 | slot;
}

} // namespace

EventLoop::EventLoop() : epoll_{::epoll_create1(EPOLL_CLOEXEC)}
{
    if (!epoll_)
        throw std::system_error{errno, std::generic_category(), "epoll_create1(2)"};
}

Result<EventLoop::Watch> EventLoop::watch(const UniqueFd& fd, std::uint32_t events,
                                          Callback callback)
{
    if (free_slots_.empty()) {
        free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const auto index = free_slots_.back();
    auto& slot = slots_[index];

    epoll_event wanted{};
    wanted.events = events;
    wanted.data.u64 = token(index, slot.generation);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &wanted) < 0)
        return std::unexpected(Fault::last("epoll_ctl(2)"));

    free_slots_.pop_back();
    slot.fd = fd.get();
    slot.callback = std::make_unique<Callback>(std::move(callback));
    return Watch{*this, index};
}

Result<void> EventLoop::Watch::change(std::uint32_t events)
{
    const auto& slot = loop_->slots_[slot_];
    epoll_event wanted{};
    wanted.events = events;
    wanted.data.u64 = token(slot_, slot.generation);
    if (::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, slot.fd, &wanted) < 0)
        return std::unexpected(Fault::last("epoll_ctl(2)"));
    return {};
}

EventLoop::Watch::~Watch()
{
    if (loop_)
        loop_->unwatch(slot_);
}

void EventLoop::unwatch(std::uint32_t index)
{
    auto& slot = slots_[index];
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, slot.fd, nullptr);
    retired_.push_back(std::move(slot.callback));
    ++slot.generation;
    free_slots_.push_back(index);
}

EventLoop::Alarm EventLoop::alarm(MonotonicTime when, Task task)
{
    auto entry = std::make_unique<Alarm::Entry>(*this, std::move(task), std::nullopt);
    entry->place = alarms_.emplace(when, entry.get());
    return Alarm{std::move(entry)};
}

EventLoop::Alarm::~Alarm()
{
    if (entry_ && entry_->place)
        entry_->loop.alarms_.erase(*entry_->place);
}

std::optional<nanoseconds> EventLoop::patience(std::optional<nanoseconds> timeout) const
{
    if (!deferred_.empty())
        return nanoseconds{0};
    if (alarms_.empty())
        return timeout;
    const auto next = left_until(alarms_.begin()->first);
    return timeout ? std::min(*timeout, next) : next;
}

// How many of them have news now.
Result<std::size_t> EventLoop::fetch(Events& events, std::optional<nanoseconds> wait_for) const
{
    const auto span = to_timespec(wait_for.value_or(nanoseconds{0}));
    const int ready = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     wait_for ? &span : nullptr, nullptr);
    if (ready < 0 && errno != EINTR)
        return std::unexpected(Fault::last("epoll_pwait2(2)"));
    return static_cast<std::size_t>(std::max(ready, 0));
}

void EventLoop::tell(std::span<const epoll_event> events)
{
    for (const auto& event : events) {
        const auto& slot = slots_[static_cast<std::uint32_t>(event.data.u64)];
        if (slot.callback && slot.generation == event.data.u64 >> 32)
            (*slot.callback)(event.events);
    }
}

Result<std::size_t> EventLoop::look()
{
    Events events;
    const auto ready = fetch(events, nanoseconds{0});
    if (ready)
        tell(std::span{events}.first(*ready));
    retired_.clear();
    return ready;
}

Result<std::size_t> EventLoop::run_once(std::optional<nanoseconds> timeout)
{
    Events events;
    const auto ready = fetch(events, patience(timeout));
    if (!ready)
        return ready;
    const auto begin = monotonic_now();
    ++turn_;
    tell(std::span{events}.first(*ready));
    ring_alarms();
    run_deferred();
    retired_.clear();
    turn_times_.add(monotonic_now() - begin);
    return ready;
}

Result<void> EventLoop::run()
{
    running_ = true;
    while (running_)
        if (const auto turned = run_once(); !turned)
            return std::unexpected(turned.error());
    return {};
}

void EventLoop::ring_alarms()
{
    if (alarms_.empty())
        return;
    const auto now = monotonic_now();
    while (!alarms_.empty() && alarms_.begin()->first <= now) {
        auto& entry = *alarms_.begin()->second;
        alarms_.erase(alarms_.begin());
        entry.place.reset();
        const auto task = std::move(entry.task); // Which may well end the alarm.
        task();
    }
}

void EventLoop::run_deferred()
{
    for (const auto& task : std::exchange(deferred_, {}))
        task();
}

} // namespace evfd::daemon
