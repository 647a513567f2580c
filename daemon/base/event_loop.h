// The one place that waits: descriptors, alarms, and what was put off to the end of the turn.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/histogram.h"

#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace evfd::daemon {

class EventLoop {
public:
    using Callback = std::function<void(std::uint32_t events)>; // EPOLLIN and so on. epoll_ctl(2)
    using Task = std::function<void()>;

    static constexpr std::size_t batch = 256; // How many descriptors a turn looks at, at most.

    EventLoop(); // Throws std::system_error.
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // In the epoll set while it lives. It must go before the descriptor it watches is closed: a
    // duplicate that someone else holds would keep the closed one in the set.
    class Watch {
    public:
        Watch(Watch&& other) noexcept
            : loop_{std::exchange(other.loop_, nullptr)}, slot_{other.slot_}
        {
        }
        Watch& operator=(Watch&& other) noexcept
        {
            std::swap(loop_, other.loop_);
            std::swap(slot_, other.slot_);
            return *this;
        }
        ~Watch();
        Result<void> change(std::uint32_t events);

    private:
        friend class EventLoop;
        Watch(EventLoop& loop, std::uint32_t slot) : loop_{&loop}, slot_{slot} {}
        EventLoop* loop_;
        std::uint32_t slot_;
    };
    // What the kernel has no room for in the epoll set any more is polled instead, but for watches
    // that are edge-triggered: ENOSPC.
    Result<Watch> watch(const UniqueFd& fd, std::uint32_t events, Callback callback);
    // Called with EPOLLIN while look() of the other loop would find news. It is polled beside the
    // epoll set: what a nested epoll watches is refused once the epolls of others have made 500
    // paths to it. epoll_ctl(2), EINVAL.
    Watch watch(const EventLoop& other, Callback callback);

    // Set while it lives; rings once.
    class Timeout {
    public:
        ~Timeout();
        Timeout(Timeout&&) noexcept = default;
        Timeout& operator=(Timeout&&) = delete;

    private:
        friend class EventLoop;
        struct Entry {
            EventLoop& loop;
            Task task;
            std::optional<std::multimap<MonotonicTime, Entry*>::iterator>
                position; // Until it rang.
        };
        explicit Timeout(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    Timeout add_timeout(MonotonicTime when, Task task);

    // Runs the task at the end of this turn, or at once in the next one.
    void defer(Task task) { deferred_.push_back(std::move(task)); }
    bool has_deferred() const { return !deferred_.empty(); } // For the next turn.

    // One turn: waits until something happens, at most for `timeout` (for ever without), and calls
    // whoever it concerns. How many descriptors had news.
    Result<std::size_t> run_once(std::optional<nanoseconds> timeout = {});
    bool watches_any() const { return slots_.size() > free_slots_.size(); }
    // The same of what has news now, and of descriptors alone: no alarm rings, nothing that was put
    // off is done, and it counts as no turn.
    Result<std::size_t> poll();
    // Turns until stop().
    Result<void> run();
    void stop() { running_ = false; }

    // Which turn this is, from 1.
    std::uint64_t iteration() const { return iteration_; }
    // Of the turns that are over: how long they took, but for the waiting.
    const Histogram& iteration_latency() const { return iteration_latency_; }

private:
    // What epoll_data carries is not a pointer but a slot and its generation: an event that was
    // fetched before its watch went away finds nobody.
    struct Slot {
        int fd = -1;
        std::uint32_t generation = 0;
        std::unique_ptr<Callback> callback;
    };

    // A watch that is not in the epoll set.
    struct Polled {
        std::uint32_t slot;
        std::uint32_t events;
        const EventLoop* other = nullptr; // Without a watch it is left out.
        MonotonicTime quiet_until{};      // An edge-triggered one that was told of.
    };

    using Events = std::array<epoll_event, batch>;

    Result<std::size_t> wait_for_events(Events& events, std::optional<nanoseconds> wait_for) const;
    struct PollResult {
        bool epoll_is_ready;
        std::vector<epoll_event> events; // Of what is not in the set.
    };
    Result<PollResult> wait_by_ppoll(std::optional<nanoseconds> wait_for);
    bool polls_any() const;
    void move_to_epoll(MonotonicTime now);
    bool add_to_set(std::uint32_t slot, std::uint32_t events) const; // Else see errno.
    epoll_event make_epoll_event(std::uint32_t slot, std::uint32_t events) const;
    std::uint32_t next_slot();
    Watch fill_slot(std::uint32_t index, int fd, Callback callback);
    Polled* find_polled(std::uint32_t slot);
    void dispatch(std::span<const epoll_event> events);
    void unwatch(std::uint32_t slot);
    std::optional<nanoseconds> time_to_next_timeout(std::optional<nanoseconds> timeout) const;
    void run_timeouts();
    void run_deferred();

    UniqueFd epoll_;
    std::deque<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::vector<Polled> polled_;
    MonotonicTime next_epoll_retry_{};
    std::vector<std::unique_ptr<Callback>>
        destroyed_callbacks_; // Of this turn: one of them may be running.
    std::multimap<MonotonicTime, Timeout::Entry*> timeouts_;
    std::vector<Task> deferred_;
    bool running_ = true;
    std::uint64_t iteration_ = 0;
    Histogram iteration_latency_;
};

} // namespace evfd::daemon
