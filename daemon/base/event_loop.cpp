#include "daemon/base/event_loop.h"

#include "daemon/limits.h"

#include <poll.h>

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
    const auto index = next_slot();
    slots_[index].fd = fd.get();
    if (!add_to_set(index, events)) {
        if (errno != ENOSPC || (events & EPOLLET) != 0)
            return std::unexpected(Fault::last("epoll_ctl(2)"));
        polled_.push_back({index, events});
    }
    return fill_slot(index, fd.get(), std::move(callback));
}

EventLoop::Watch EventLoop::watch(const EventLoop& other, Callback callback)
{
    const auto index = next_slot();
    polled_.push_back({index, EPOLLIN, &other});
    return fill_slot(index, other.epoll_.get(), std::move(callback));
}

// Returns a free slot. The slot stays free until fill_slot() is called.
std::uint32_t EventLoop::next_slot()
{
    if (free_slots_.empty()) {
        free_slots_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    return free_slots_.back();
}

EventLoop::Watch EventLoop::fill_slot(std::uint32_t index, int fd, Callback callback)
{
    free_slots_.pop_back();
    slots_[index].fd = fd;
    slots_[index].callback = std::make_unique<Callback>(std::move(callback));
    return Watch{*this, index};
}

epoll_event EventLoop::make_epoll_event(std::uint32_t slot, std::uint32_t events) const
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = token(slot, slots_[slot].generation);
    return event;
}

bool EventLoop::add_to_set(std::uint32_t slot, std::uint32_t events) const
{
    auto event = make_epoll_event(slot, events);
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, slots_[slot].fd, &event) == 0;
}

EventLoop::Polled* EventLoop::find_polled(std::uint32_t slot)
{
    const auto found = std::ranges::find(polled_, slot, &Polled::slot);
    return found == polled_.end() ? nullptr : &*found;
}

Result<void> EventLoop::Watch::change(std::uint32_t events)
{
    const auto slot = loop_.get_deleter().slot;
    if (auto* polled = loop_->find_polled(slot)) {
        polled->events = events;
        polled->quiet_until = {};
        return {};
    }
    auto event = loop_->make_epoll_event(slot, events);
    if (::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, loop_->slots_[slot].fd, &event) < 0)
        return std::unexpected(Fault::last("epoll_ctl(2)"));
    return {};
}

void EventLoop::unwatch(std::uint32_t index)
{
    auto& slot = slots_[index];
    if (std::erase_if(polled_, [&](const auto& polled) { return polled.slot == index; }) == 0)
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, slot.fd, nullptr);
    destroyed_callbacks_.push_back(std::move(slot.callback));
    ++slot.generation;
    free_slots_.push_back(index);
}

EventLoop::Timeout EventLoop::add_timeout(MonotonicTime when, Task task)
{
    auto entry = std::make_unique<Timeout::Entry>(*this, std::move(task), std::nullopt);
    entry->position = timeouts_.emplace(when, entry.get());
    return Timeout{std::move(entry)};
}

EventLoop::Timeout::Entry::~Entry()
{
    if (position)
        loop.timeouts_.erase(*position);
}

std::optional<nanoseconds> EventLoop::time_to_next_timeout(std::optional<nanoseconds> timeout) const
{
    if (!deferred_.empty())
        return nanoseconds{0};
    if (timeouts_.empty())
        return timeout;
    const auto next = time_until(timeouts_.begin()->first);
    return timeout ? std::min(*timeout, next) : next;
}

// Waits until a descriptor of the epoll set is ready, and returns how many are ready.
Result<std::size_t> EventLoop::wait_for_events(Events& events,
                                               std::optional<nanoseconds> wait_for) const
{
    const auto span = to_timespec(wait_for.value_or(nanoseconds{0}));
    const int ready = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     wait_for ? &span : nullptr, nullptr);
    if (ready < 0 && errno != EINTR)
        return std::unexpected(Fault::last("epoll_pwait2(2)"));
    return static_cast<std::size_t>(std::max(ready, 0));
}

bool EventLoop::polls_any() const
{
    return std::ranges::any_of(polled_, [](const auto& polled) {
        return !polled.other || polled.other->watch_count() > 0;
    });
}

void EventLoop::move_to_epoll(MonotonicTime now)
{
    if (now < next_epoll_retry_)
        return;
    next_epoll_retry_ = add_saturating(now, epoll_retry_interval);
    bool has_room = true;
    std::erase_if(polled_, [&](const auto& polled) {
        has_room = has_room && (polled.other || add_to_set(polled.slot, polled.events));
        return has_room && !polled.other;
    });
}

// Waits by ppoll(2) for the epoll set and for the watches that are not in the epoll set.
Result<EventLoop::PollResult> EventLoop::wait_by_ppoll(std::optional<nanoseconds> wait_for)
{
    const auto now = monotonic_now();
    move_to_epoll(now);
    std::vector<pollfd> pollfds{{epoll_.get(), POLLIN, 0}};
    for (const auto& polled : polled_) {
        const bool is_quiet = polled.quiet_until > now;
        if (is_quiet)
            wait_for = std::min(wait_for.value_or(edge_quiet_time), polled.quiet_until - now);
        // ppoll(2) ignores the descriptor -1, so the watch is not polled before its quiet_until.
        const int fd = is_quiet ? -1 : slots_[polled.slot].fd;
        pollfds.push_back({fd, static_cast<short>(polled.events & (POLLIN | POLLOUT)), 0});
    }
    const auto span = to_timespec(wait_for.value_or(nanoseconds{0}));
    if (::ppoll(pollfds.data(), pollfds.size(), wait_for ? &span : nullptr, nullptr) < 0) {
        if (errno == EINTR)
            return PollResult{};
        return std::unexpected(Fault::last("ppoll(2)"));
    }
    PollResult result{pollfds[0].revents != 0, {}};
    for (std::size_t i = 0; i < polled_.size(); ++i) {
        auto& polled = polled_[i];
        if (const auto events = pollfds[i + 1].revents; events != 0) {
            result.events.push_back(
                make_epoll_event(polled.slot, static_cast<std::uint16_t>(events)));
            if ((polled.events & EPOLLET) != 0)
                polled.quiet_until = add_saturating(monotonic_now(), edge_quiet_time);
        }
    }
    return result;
}

void EventLoop::dispatch(std::span<const epoll_event> events)
{
    for (const auto& event : events) {
        const auto& slot = slots_[static_cast<std::uint32_t>(event.data.u64)];
        if (slot.callback && slot.generation == event.data.u64 >> 32)
            (*slot.callback)(event.events);
    }
}

Result<std::size_t> EventLoop::poll()
{
    Events events;
    const auto ready = wait_for_events(events, nanoseconds{0});
    if (ready)
        dispatch(std::span{events}.first(*ready));
    destroyed_callbacks_.clear();
    return ready;
}

Result<std::size_t> EventLoop::run_once(std::optional<nanoseconds> timeout)
{
    auto wait_for = time_to_next_timeout(timeout);
    PollResult polling{true, {}};
    if (polls_any()) {
        auto polled = wait_by_ppoll(wait_for);
        if (!polled)
            return std::unexpected(polled.error());
        polling = *std::move(polled);
        wait_for = nanoseconds{0};
    }
    Events events;
    const auto ready = polling.epoll_is_ready ? wait_for_events(events, wait_for) : std::size_t{0};
    if (!ready)
        return ready;
    const auto begin = monotonic_now();
    ++iteration_;
    dispatch(polling.events);
    dispatch(std::span{events}.first(*ready));
    run_timeouts();
    run_deferred();
    destroyed_callbacks_.clear();
    iteration_latency_.add(monotonic_now() - begin);
    return polling.events.size() + *ready;
}

Result<void> EventLoop::run()
{
    running_ = true;
    while (running_)
        if (const auto iterated = run_once(); !iterated)
            return std::unexpected(iterated.error());
    return {};
}

void EventLoop::run_timeouts()
{
    if (timeouts_.empty())
        return;
    const auto now = monotonic_now();
    while (!timeouts_.empty() && timeouts_.begin()->first <= now) {
        auto& entry = *timeouts_.begin()->second;
        timeouts_.erase(timeouts_.begin());
        entry.position.reset();
        // The task is moved out of its entry, because the task can destroy the Timeout that owns
        // the entry.
        const auto task = std::move(entry.task);
        task();
    }
}

void EventLoop::run_deferred()
{
    // The two lists are used in turns, so that neither allocates memory again.
    running_tasks_.swap(deferred_);
    for (const auto& task : running_tasks_)
        task();
    running_tasks_.clear();
}

} // namespace evfd::daemon
