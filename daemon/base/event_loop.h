// EventLoop: the only place where the daemon waits. It dispatches ready descriptors, timeouts and
// deferred tasks to callbacks, all in one thread.
//
// One iteration (run_once()) does this:
//
// 1. Waits in epoll for ready descriptors, at most until the next timeout; not at all if tasks are
//    deferred.
// 2. Calls the callback of each ready descriptor, at most `batch` of them.
// 3. Runs the timeouts that have expired, earliest first.
// 4. Runs the tasks that were deferred before or during this iteration. Tasks that are deferred
//    while these tasks run wait for the next iteration.
//
// A Watch keeps a descriptor in the epoll set while the Watch exists. epoll_data carries a slot
// number and its generation, not a pointer, so an event that was fetched before its watch was
// destroyed finds no callback. A callback is allowed to destroy any watch, including the callback's
// own watch: the callbacks of destroyed watches are kept until the end of the iteration.
//
// The kernel limits the number of watches of a user (fs.epoll.max_user_watches), and other
// processes of the user can use up this limit. A watch that does not fit is polled with ppoll(2)
// beside the epoll set, and is moved into the epoll set when there is room again.
//
// Invariants:
//
// - A Watch is destroyed before its descriptor is closed. A duplicate that another process holds
//   would keep the closed descriptor in the epoll set.
// - An object with a Watch is neither copied nor moved, and declares the Watch after the descriptor
//   that it watches.
// - No callback blocks, because all clients would have to wait.
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
    // `events` is a mask of EPOLLIN and other flags. epoll_ctl(2)
    using Callback = std::function<void(std::uint32_t events)>;
    using Task = std::function<void()>;

    // The largest number of descriptors dispatched in one iteration.
    static constexpr std::size_t batch = max_events_per_iteration;

    EventLoop(); // Creates the epoll set. Throws std::system_error.
    EventLoop(const EventLoop&) = delete;

    // Keeps a descriptor in the epoll set while the Watch exists. The Watch must be destroyed
    // before the descriptor is closed.
    class Watch {
    public:
        Result<void> change(std::uint32_t events);

    private:
        friend class EventLoop;
        struct Unwatch {
            std::uint32_t slot;
            void operator()(EventLoop* loop) const { loop->unwatch(slot); }
        };
        Watch(EventLoop& loop, std::uint32_t slot) : loop_{&loop, {slot}} {}
        std::unique_ptr<EventLoop, Unwatch> loop_; // The deleter only ends the watch.
    };
    // Watches `fd`. If the kernel allows no more epoll watches, the loop polls the descriptor with
    // ppoll(2). In this case an edge-triggered watch fails with ENOSPC, because ppoll(2) does not
    // report edges.
    Result<Watch> watch(const UniqueFd& fd, std::uint32_t events, Callback callback);
    // Calls `callback` with EPOLLIN while poll() of the other loop would find ready descriptors.
    // The epoll set of the other loop is polled with ppoll(2), and not added to the epoll set of
    // this loop. The kernel allows at most 500 paths from one epoll set through a second one to the
    // same file, and the epoll sets of other processes can use up these paths. epoll_ctl(2), EINVAL
    Watch watch(const EventLoop& other, Callback callback);

    // Runs a task once at a given time, unless the Timeout is destroyed before.
    class Timeout {
        friend class EventLoop;
        struct Entry {
            EventLoop& loop;
            Task task;
            // The position of the entry in timeouts_; empty once the timeout has expired.
            std::optional<std::multimap<MonotonicTime, Entry*>::iterator> position;
            ~Entry();
        };
        explicit Timeout(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    Timeout add_timeout(MonotonicTime when, Task task);

    // Runs the task at the end of this iteration. A task that is deferred by a deferred task runs
    // in the next iteration, which then does not wait for events.
    void defer(Task task) { deferred_.push_back(std::move(task)); }
    // Returns whether a deferred task has yet to run.
    bool has_deferred() const { return !deferred_.empty(); }

    // Runs one iteration: waits for events and calls their callbacks. Waits at most for `timeout`,
    // or indefinitely if there is no timeout. Returns the number of ready descriptors.
    Result<std::size_t> run_once(std::optional<nanoseconds> timeout = {});
    // Returns how many descriptors and loops are watched.
    std::size_t watch_count() const { return slots_.size() - free_slots_.size(); }
    // Dispatches the descriptors that are ready now, without waiting. Runs no timeouts and no
    // deferred tasks, and does not count as an iteration.
    Result<std::size_t> poll();
    // Runs iterations until stop().
    Result<void> run();
    void stop() { running_ = false; }

    // Returns the number of the current iteration. The first iteration has number 1.
    std::uint64_t iteration() const { return iteration_; }
    // Returns the durations of the completed iterations, without the time of waiting for events.
    const Histogram& iteration_latency() const { return iteration_latency_; }

private:
    // The descriptor and the callback of a watch. epoll_data carries the number of the slot and its
    // generation, so an event that was fetched before its watch was destroyed finds no callback.
    struct Slot {
        int fd = -1;
        std::uint32_t generation = 0;
        std::unique_ptr<Callback> callback;
    };

    // A watch that is not in the epoll set. ppoll(2) polls it.
    struct Polled {
        std::uint32_t slot;
        std::uint32_t events;
        // The watched loop; null if the watch is for a descriptor. A watched loop that has no
        // watches is no reason to call ppoll(2).
        const EventLoop* other = nullptr;
        // The time before which the watch is not polled again. The loop sets this time after each
        // event of an edge-triggered watch, because ppoll(2) would report the watch again at once.
        // Watch::change() can make a polled watch edge-triggered.
        MonotonicTime quiet_until{};
    };

    using Events = std::array<epoll_event, batch>;

    Result<std::size_t> wait_for_events(Events& events, std::optional<nanoseconds> wait_for) const;
    struct PollResult {
        bool epoll_is_ready;
        std::vector<epoll_event> events; // The events that ppoll(2) found.
    };
    Result<PollResult> wait_by_ppoll(std::optional<nanoseconds> wait_for);
    bool polls_any() const;
    void move_to_epoll(MonotonicTime now);
    // Adds the descriptor of a slot to the epoll set, and returns whether it was added. On failure
    // errno has the reason.
    bool add_to_set(std::uint32_t slot, std::uint32_t events) const;
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
    // The callbacks of destroyed watches. They are kept until the end of the iteration, because a
    // callback can destroy its own watch while the callback runs.
    std::vector<std::unique_ptr<Callback>> destroyed_callbacks_;
    std::multimap<MonotonicTime, Timeout::Entry*> timeouts_;
    std::vector<Task> deferred_;
    std::vector<Task> running_tasks_; // The deferred tasks that run_deferred() is running.
    bool running_ = true;
    std::uint64_t iteration_ = 0;
    Histogram iteration_latency_;
};

} // namespace evfd::daemon
