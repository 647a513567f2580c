// What the daemon itself has to do when, on any clock: one timerfd a clock, set to the earliest of
// the appointments on it, and disarmed while there is none.
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"

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

    // `on_batch_done`: after those that were due. `on_clock_set`: the wall clock was set; that is
    // noticed only while there are appointments on it.
    DeadlineQueue(EventLoop& loop, Task on_batch_done, Task on_clock_set);
    DeadlineQueue(const DeadlineQueue&) = delete; // Pinned: its watches have its address.
    DeadlineQueue& operator=(const DeadlineQueue&) = delete;

    // Before the first appointment on a clock. EPERM: the alarm clocks take CAP_WAKE_ALARM.
    Result<void> prepare(Clock clock);

    // Stands in the table while it lives; comes once.
    class Deadline {
    public:
        Deadline(Deadline&&) noexcept = default;
        Deadline& operator=(Deadline&&) = delete;
        ~Deadline();
        // Whether it is to come then.
        bool is_at(Clock clock, nanoseconds when) const;

    private:
        friend class DeadlineQueue;
        explicit Deadline(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    bool has(Clock clock) const { return queues_[static_cast<std::size_t>(clock)] != nullptr; }
    // `when` since the zero of the clock, which is prepared.
    Deadline add(Clock clock, nanoseconds when, Task task);

    // Tells at once if the wall clock was set.
    void check_wall_clock();

    // For so long at a time those that are due are called; the rest comes in the next turn.
    static constexpr std::chrono::microseconds max_batch_time{250};

private:
    using Entries = std::multimap<nanoseconds, Entry*>;

    struct ClockQueue {
        Clock clock;
        UniqueFd timerfd;
        EventLoop::Watch watch; // After timerfd: it must go first.
        Entries entries = {};
        std::optional<nanoseconds> programmed_for = {};
        bool is_stale = false; // Whatever programmed_for says, it must be set.
        bool is_running = false;
    };
    struct Entry {
        DeadlineQueue& owner;
        ClockQueue& queue;
        Task task;
        std::optional<Entries::iterator> position; // Until it came.
    };

    void on_timerfd_readable(ClockQueue& queue);
    void read_timerfd(ClockQueue& queue);
    void run_due(ClockQueue& queue);
    void program(ClockQueue& queue);
    void report_clock_set();

    EventLoop& loop_;
    Task on_batch_done_;
    Task on_clock_set_;
    bool clock_was_set_ = false; // And that is not told yet.
    std::array<std::unique_ptr<ClockQueue>, enum_names(Clock{}).size()>
        queues_; // Of clocks prepared.
};

} // namespace evfd::daemon
