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

class Timetable {
    struct Entry;

public:
    using Task = std::function<void()>;

    // `on_called`: after those that were due. `on_clock_set`: the wall clock was set; that is
    // noticed only while there are appointments on it.
    Timetable(EventLoop& loop, Task on_called, Task on_clock_set);
    Timetable(const Timetable&) = delete; // Pinned: its watches have its address.
    Timetable& operator=(const Timetable&) = delete;

    // Before the first appointment on a clock. EPERM: the alarm clocks take CAP_WAKE_ALARM.
    Result<void> prepare(Clock clock);

    // Stands in the table while it lives; comes once.
    class Appointment {
    public:
        Appointment(Appointment&&) noexcept = default;
        Appointment& operator=(Appointment&&) = delete;
        ~Appointment();
        // Whether it is to come then.
        bool is_at(Clock clock, nanoseconds when) const;

    private:
        friend class Timetable;
        explicit Appointment(std::unique_ptr<Entry> entry) : entry_{std::move(entry)} {}
        std::unique_ptr<Entry> entry_;
    };
    bool has(Clock clock) const { return dials_[static_cast<std::size_t>(clock)] != nullptr; }
    // `when` since the zero of the clock, which is prepared.
    Appointment add(Clock clock, nanoseconds when, Task task);

    // Tells at once if the wall clock was set.
    void look_at_wall_clock();

    // For so long at a time those that are due are called; the rest comes in the next turn.
    static constexpr std::chrono::microseconds max_turn{250};

private:
    using Entries = std::multimap<nanoseconds, Entry*>;

    struct Dial {
        Clock clock;
        UniqueFd timerfd;
        EventLoop::Watch watch; // After timerfd: it must go first.
        Entries entries = {};
        std::optional<nanoseconds> set_to = {};
        bool is_stale = false; // Whatever set_to says, it must be set.
        bool is_ringing = false;
    };
    struct Entry {
        Timetable& table;
        Dial& dial;
        Task task;
        std::optional<Entries::iterator> place; // Until it came.
    };

    void on_ring(Dial& dial);
    void look_at(Dial& dial);
    void call_due(Dial& dial);
    void settle(Dial& dial);
    void tell_clock_set();

    EventLoop& loop_;
    Task on_called_;
    Task on_clock_set_;
    bool clock_was_set_ = false;                                     // And that is not told yet.
    std::array<std::unique_ptr<Dial>, words(Clock{}).size()> dials_; // Of clocks prepared.
};

} // namespace evfd::daemon
