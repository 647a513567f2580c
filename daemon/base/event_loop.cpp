#include "daemon/base/event_loop.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>

namespace evfd::daemon {

namespace {

// What is polled is told again and again, so where only the change is news it rests in between.
constexpr std::chrono::milliseconds edge_rest{20};

// While the kernel has no room in the epoll set it is asked no more often than this.
constexpr std::chrono::milliseconds put_back_pause{100};

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

// A free one; it stays free until it is filled.
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

epoll_event EventLoop::told_of(std::uint32_t slot, std::uint32_t events) const
{
    epoll_event event{};
    event.events = events;
    event.data.u64 = token(slot, slots_[slot].generation);
    return event;
}

bool EventLoop::add_to_set(std::uint32_t slot, std::uint32_t events) const
{
    auto wanted = told_of(slot, events);
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, slots_[slot].fd, &wanted) == 0;
}

EventLoop::Polled* EventLoop::find_polled(std::uint32_t slot)
{
    const auto found = std::ranges::find(polled_, slot, &Polled::slot);
    return found == polled_.end() ? nullptr : &*found;
}

Result<void> EventLoop::Watch::change(std::uint32_t events)
{
    if (auto* polled = loop_->find_polled(slot_)) {
        polled->events = events;
        polled->rests_until = {};
        return {};
    }
    auto wanted = loop_->told_of(slot_, events);
    if (::epoll_ctl(loop_->epoll_.get(), EPOLL_CTL_MOD, loop_->slots_[slot_].fd, &wanted) < 0)
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
    if (std::erase_if(polled_, [&](const auto& polled) { return polled.slot == index; }) == 0)
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

// How many of those in the set have news now.
Result<std::size_t> EventLoop::fetch(Events& events, std::optional<nanoseconds> wait_for) const
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
    return std::ranges::any_of(
        polled_, [](const auto& polled) { return !polled.other || polled.other->watches_any(); });
}

void EventLoop::put_back_in_set(MonotonicTime now)
{
    if (now < put_back_at_)
        return;
    put_back_at_ = later(now, put_back_pause);
    bool has_room = true;
    std::erase_if(polled_, [&](const auto& polled) {
        has_room = has_room && (polled.other || add_to_set(polled.slot, polled.events));
        return has_room && !polled.other;
    });
}

// Waits for the set as well.
Result<EventLoop::Polling> EventLoop::poll(std::optional<nanoseconds> wait_for)
{
    const auto now = monotonic_now();
    put_back_in_set(now);
    std::vector<pollfd> wanted{{epoll_.get(), POLLIN, 0}};
    for (const auto& polled : polled_) {
        const bool is_resting = polled.rests_until > now;
        if (is_resting)
            wait_for = std::min(wait_for.value_or(edge_rest), polled.rests_until - now);
        const int fd = is_resting ? -1 : slots_[polled.slot].fd; // The former is passed over.
        wanted.push_back({fd, static_cast<short>(polled.events & (POLLIN | POLLOUT)), 0});
    }
    const auto span = to_timespec(wait_for.value_or(nanoseconds{0}));
    if (::ppoll(wanted.data(), wanted.size(), wait_for ? &span : nullptr, nullptr) < 0) {
        if (errno == EINTR)
            return Polling{};
        return std::unexpected(Fault::last("ppoll(2)"));
    }
    Polling news{wanted[0].revents != 0, {}};
    for (std::size_t i = 0; i < polled_.size(); ++i) {
        auto& polled = polled_[i];
        if (const auto events = wanted[i + 1].revents; events != 0) {
            news.events.push_back(told_of(polled.slot, static_cast<std::uint16_t>(events)));
            if ((polled.events & EPOLLET) != 0)
                polled.rests_until = later(monotonic_now(), edge_rest);
        }
    }
    return news;
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
    auto wait_for = patience(timeout);
    Polling polling{true, {}};
    if (polls_any()) {
        auto polled = poll(wait_for);
        if (!polled)
            return std::unexpected(polled.error());
        polling = *std::move(polled);
        wait_for = nanoseconds{0};
    }
    Events events;
    const auto ready = polling.has_news_in_set ? fetch(events, wait_for) : std::size_t{0};
    if (!ready)
        return ready;
    const auto begin = monotonic_now();
    ++turn_;
    tell(polling.events);
    tell(std::span{events}.first(*ready));
    ring_alarms();
    run_deferred();
    retired_.clear();
    turn_times_.add(monotonic_now() - begin);
    return polling.events.size() + *ready;
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
