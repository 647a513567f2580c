// EventLoop: the only place where the daemon waits. It dispatches ready descriptors, timeouts and
// deferred tasks to callbacks, all in one thread.
//
// One iteration (run_once()) does this:
//
// 1. Waits in epoll for ready descriptors, at most until the next timeout; not at all if tasks are
//    deferred.
// 2. Calls the callback of each ready descriptor, at most `batch` of them.
// 3. Runs the timeouts that have expired, earliest first.
// 4. Runs the tasks that were deferred before or during this iteration. Tasks that these defer run
//    in the next one.
//
// A Watch keeps a descriptor in the epoll set while it lives. epoll_data carries a slot number and
// its generation, not a pointer, so an event that was fetched before its watch was destroyed finds
// no callback. A callback may destroy any watch, also its own: the functions of destroyed watches
// are kept until the end of the iteration.
//
// The kernel limits the number of watches of a user (fs.epoll.max_user_watches), and other
// processes of the same user can use it up. A watch that does not fit is polled with ppoll(2)
// beside the epoll set, and moved there when there is room again.
//
// What must hold:
//
// - A Watch is destroyed before its descriptor is closed. A duplicate that another process holds
//   would keep the closed descriptor in the epoll set.
// - An object with a Watch is neither copied nor moved, and declares it after what it watches.
// - No callback blocks: every client waits for it.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/histogram.h"
#include "daemon/limits.h"

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
    // `events`: EPOLLIN etc., epoll_ctl(2).
    using Callback = std::function<void(std::uint32_t events)>;
    using Task = std::function<void()>;

    // The largest number of descriptors dispatched in one iteration.
    static constexpr std::size_t batch = max_events_per_iteration;

    EventLoop(); // Throws std::system_error.
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Keeps a descriptor in the epoll set while it lives. It must be destroyed before the
    // descriptor is closed.
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
    // Watches `fd`. If the kernel allows no more epoll watches, the descriptor is polled instead.
    // For an edge-triggered watch the function fails with ENOSPC then.
    Result<Watch> watch(const UniqueFd& fd, std::uint32_t events, Callback callback);
    // Calls `callback` with EPOLLIN while poll() of the other loop would find ready descriptors.
    // The other loop is polled beside the epoll set: the kernel refuses a descriptor for a nested
    // epoll once other processes' epolls have made 500 paths to it. epoll_ctl(2), EINVAL.
    Watch watch(const EventLoop& other, Callback callback);

    // Runs a task once at a given time, unless it is destroyed before.
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
            // Empty once the timeout has expired.
            std::optional<std::multimap<MonotonicTime, Entry*>::iterator> position;
        };
        explicit Timeout(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    Timeout add_timeout(MonotonicTime when, Task task);

    // Runs the task at the end of this iteration, or without waiting in the next one.
    void defer(Task task) { deferred_.push_back(std::move(task)); }
    bool has_deferred() const { return !deferred_.empty(); } // For the next iteration.

    // Runs one iteration: waits for events, at most for `timeout` (indefinitely without one), and
    // calls their callbacks. Returns the number of ready descriptors.
    Result<std::size_t> run_once(std::optional<nanoseconds> timeout = {});
    bool watches_any() const { return slots_.size() > free_slots_.size(); }
    // Dispatches the descriptors that are ready now, without waiting. Runs no timeouts and no
    // deferred tasks, and does not count as an iteration.
    Result<std::size_t> poll();
    // Runs iterations until stop().
    Result<void> run();
    void stop() { running_ = false; }

    // Number of the current iteration, from 1.
    std::uint64_t iteration() const { return iteration_; }
    // Durations of the completed iterations, without the waiting.
    const Histogram& iteration_latency() const { return iteration_latency_; }

private:
    // epoll_data carries a slot and its generation, so an event that was fetched before its watch
    // was destroyed finds no callback.
    struct Slot {
        int fd = -1;
        std::uint32_t generation = 0;
        std::unique_ptr<Callback> callback;
    };

    // A watch outside of the epoll set.
    struct Polled {
        std::uint32_t slot;
        std::uint32_t events;
        const EventLoop* other = nullptr; // A loop without watches is not polled.
        // An edge-triggered watch is not polled before this time, after it was dispatched.
        MonotonicTime quiet_until{};
    };

    using Events = std::array<epoll_event, batch>;

    Result<std::size_t> wait_for_events(Events& events, std::optional<nanoseconds> wait_for) const;
    struct PollResult {
        bool epoll_is_ready;
        std::vector<epoll_event> events; // Events of the watches outside of the epoll set.
    };
    Result<PollResult> wait_by_ppoll(std::optional<nanoseconds> wait_for);
    bool polls_any() const;
    void move_to_epoll(MonotonicTime now);
    bool add_to_set(std::uint32_t slot, std::uint32_t events) const; // On failure, see errno.
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
    // Kept until the end of the iteration; one of them may be running.
    std::vector<std::unique_ptr<Callback>> destroyed_callbacks_;
    std::multimap<MonotonicTime, Timeout::Entry*> timeouts_;
    std::vector<Task> deferred_;
    bool running_ = true;
    std::uint64_t iteration_ = 0;
    Histogram iteration_latency_;
};

} // namespace evfd::daemon
