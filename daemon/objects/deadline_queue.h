// DeadlineQueue: runs tasks of the daemon at their deadlines, which can be on any clock.
//
// Each clock that is in use has one queue and one timerfd. The timerfd is programmed for the
// earliest deadline of its queue and disarmed while the queue is empty, so an idle daemon is never
// woken. When the timerfd expires, the queue runs the tasks that are due, for at most
// max_due_tasks_time. The due tasks that are left run in the next iteration of the loop. The task
// of a deadline runs once. The owner of a deadline holds a Deadline object, and cancels the
// deadline by destroying that object.
//
// The timerfds of the wall clock are armed with TFD_TIMER_CANCEL_ON_SET. The queue thereby also
// detects that somebody set the wall clock, and reports this change through `on_clock_set`. If
// deadlines exist on both wall clocks, `on_clock_set` can be called twice for one change.
//
// Invariants: a clock is prepared before the first deadline is added on it. However many deadlines
// the due tasks of a queue add to the queue and remove from it, the timerfd of the queue is
// programmed only once, after these tasks have run.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"

#include <sys/types.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>

namespace evfd::daemon {

class DeadlineQueue {
    struct Entry;

public:
    using Task = std::function<void()>;

    using Charge = std::function<void(uid_t payer, nanoseconds used)>;

    // `deliver` is called after each task, and after `on_clock_set`. `charge` is called after each
    // task, with the time that the task and `deliver` took. `on_clock_set` is called when the wall
    // clock was set. The queue notices this only while deadlines exist on the wall clock.
    DeadlineQueue(EventLoop& loop, Task deliver, Charge charge, Task on_clock_set);
    // Not copyable: the watches hold the address of this object.
    DeadlineQueue(const DeadlineQueue&) = delete;

    // Creates the queue of a clock. Must be called before the first deadline on that clock. Fails
    // with EPERM for an alarm clock if the daemon lacks CAP_WAKE_ALARM.
    Result<void> prepare(Clock clock);

    // A Deadline keeps its task queued until the task starts or until the Deadline is destroyed.
    // The task runs at most once.
    class Deadline {
    public:
        // Returns whether the task has not run yet and is due at exactly this time on this clock.
        bool is_at(Clock clock, nanoseconds when) const;

    private:
        friend class DeadlineQueue;
        explicit Deadline(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    bool has(Clock clock) const { return queues_[static_cast<std::size_t>(clock)] != nullptr; }
    // Queues a task that is due when the clock reads `when`. The clock must have been prepared.
    // `payer` is the user who is charged for the time of the task.
    Deadline add(Clock clock, nanoseconds when, uid_t payer, Task task);

    // Returns whether the wall clock was set and some queue has not reported this change yet.
    // `on_clock_set` is not called any more for a change that this function reports.
    bool check_wall_clock();

private:
    using Entries = std::multimap<nanoseconds, Entry*>;

    struct ClockQueue {
        Clock clock;
        UniqueFd timerfd;
        EventLoop::Watch watch; // Declared after timerfd, so that the watch is destroyed first.
        Entries entries = {};
        std::optional<nanoseconds> programmed_for = {};
        // True if the timerfd must be programmed again, even though programmed_for is already the
        // earliest deadline.
        bool is_stale = false;
        bool is_running = false;
    };
    struct Entry {
        DeadlineQueue& owner;
        ClockQueue& queue;
        uid_t payer;
        Task task;
        // The place of the task in the queue; empty once the task has started.
        std::optional<Entries::iterator> position;
        ~Entry();
    };

    void on_timerfd_readable(ClockQueue& queue);
    bool read_timerfd(ClockQueue& queue);
    void run_due(ClockQueue& queue);
    void program(ClockQueue& queue);
    void report_clock_set();

    EventLoop& loop_;
    log::Limited log_;
    Task deliver_;
    Charge charge_;
    Task on_clock_set_;
    // True if the wall clock was set and on_clock_set_ was not called for this change yet.
    bool clock_was_set_ = false;
    // The queue of each clock; null until prepare() creates the queue.
    std::array<std::unique_ptr<ClockQueue>, enum_names(Clock{}).size()> queues_;
};

} // namespace evfd::daemon
