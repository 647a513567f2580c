// A timer: a named schedule. Each subscriber has a private timerfd, which expires at the times of
// the schedule. The subscriber reads the number of expirations directly from the kernel. The daemon
// also counts the expirations, but only while something needs the count: for example a waiter, a
// monitor or the event that the timer sets.
#pragma once

#include "common/enums.h"
#include "common/name.h"
#include "common/result.h"
#include "common/socket.h"
#include "common/timerfd.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/limits.h"
#include "daemon/objects/batch_sizer.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/subscription_table.h"
#include "daemon/objects/timer_spec.h"
#include "daemon/store/records.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace evfd::daemon {

class Timer {
public:
    // The event that the timer sets at each expiration.
    struct Target {
        Name event;
        // The serial of the event. A later event of the same name has another serial, and the timer
        // does not set that event.
        std::uint64_t serial;
        // The peer that armed the timer. The peer's permission to set the event is checked at each
        // expiration.
        Peer armer;
        // True if the configuration declares the timer. The administrator's policy does not apply
        // to such a timer.
        bool is_declared = false;
        std::int64_t backlog = 0; // The tokens or pulses that the event has not received yet.
        bool is_gone = false;     // True if the event did not exist at the last expiration.
        bool has_logged_denial = false;
        BatchSizer batch_sizer = {};
        // The time until the next batch of tokens is added. The daemon serves other users during
        // this time.
        nanoseconds cooldown{1};
    };

    // Creates a timer that is armed and counts its expirations, as after arm().
    Timer(const TimerSpec& spec, std::optional<Target> new_target);

    const TimerSpec& spec() const { return spec_; }
    TimerState state_at(nanoseconds now) const; // `now` is a time on the clock of the schedule.

    // Returns whether the timerfds of the present subscribers can be programmed to `spec`. A spec
    // with another clock is not possible, because the clock of a timerfd cannot change.
    bool can_be_armed_with(const TimerSpec& spec) const;
    // Programs every subscriber's timerfd to the new schedule, and counts from the first expiration
    // of that schedule.
    Result<void> arm(const TimerSpec& spec, std::optional<Target> new_target);
    Result<void> disarm();
    // Returns whether the timer is armed. A timer stays armed after its last expiration.
    bool is_armed() const { return phase_ == TimerState::armed; }
    // Called after the wall clock was set. Cancels the timer if the timer is armed and its spec
    // says so, but not after its only expiration. Returns whether this call has cancelled the
    // timer. The timerfd of each subscriber reports the cancellation once, by ECANCELED.
    // Programming the timerfd would lose this report, so the timerfd stays as it is until
    // acknowledge().
    bool cancel_by_clock_change();
    Result<void> acknowledge(const Token& token) const;

    // Creates the timerfd of a new subscription and programs it to the schedule.
    Result<UniqueFd> make_descriptor() const;

    // Returns the record of the timer for the state store.
    record::Timer record() const;
    // Returns the timer of a record. `counted` and `backlog` are the counters of that timer.
    static Timer from_record(const record::Timer& record, std::optional<std::int64_t> counted,
                             std::int64_t backlog);
    // Returns whether the count of expirations must be recorded. After a restart, the clock does
    // not always show the count: the wall clock can have been set back after the timer expired.
    bool persists_count() const
    {
        return target || (spec_.cancel_on_clock_change && spec_.schedule.is_once());
    }
    // Programs the timerfd of a subscriber of an earlier daemon, unless the timerfd already expires
    // at the times of the schedule.
    Result<void> resync(const UniqueFd& timerfd) const;

    // The following functions count expirations: for waiters, for monitors and for the event that
    // the timer sets.

    // Returns the number of expirations that have been counted, or nothing while the timer is not
    // counting.
    std::optional<std::int64_t> counted() const { return counted_; }
    // Returns whether the timer must count even without a waiter or a monitor.
    bool must_count() const;
    void start_counting(); // Counts from now on; has no effect if the timer is counting already.
    void stop_counting();
    // Returns the number of expirations since the previous call.
    std::int64_t take_new_expirations();
    // Returns whether the timer expires only once and has expired. While the timer is counting, the
    // result is false until the expiration has been counted.
    bool has_expired() const;

    // Returns the time of the next poll, or nothing if no poll is needed. But if setting the wall
    // clock cancels the timer, returns the largest possible time instead of nothing: without a
    // deadline, the TimerDriver would not notice that the wall clock was set.
    std::optional<nanoseconds> next_poll() const;

    std::optional<Target> target;    // Empty if the timer sets no event.
    SubscriptionTable subscriptions; // The subscribers and their timerfds.
    // The deadline of the next poll by the TimerDriver; empty if no poll is needed. Delivery can
    // poll the timer earlier.
    std::optional<DeadlineQueue::Deadline> deadline;
    // The quota charge for how many times a second the timer sets its event. The timer's owner
    // pays.
    std::optional<Quota::Charge> ticks;

private:
    void count_from_first();
    nanoseconds relative_tolerance() const;
    Result<void> program(const UniqueFd& timerfd, std::optional<nanoseconds> first) const;
    // The setting of a timerfd, and the times before and after it was read.
    struct Reading {
        nanoseconds before;
        TimerSetting present;
        nanoseconds after;
    };
    Result<Reading> read_setting(const UniqueFd& timerfd) const;
    nanoseconds now() const { return now_on(spec_.schedule.clock); }

    TimerSpec spec_;
    // The phase is armed, disarmed or cancelled, never expired: state_at() derives `expired` from
    // the clock.
    TimerState phase_ = TimerState::armed;
    // The number of expirations up to the last poll; empty while the timer is not counting.
    std::optional<std::int64_t> counted_;
    nanoseconds last_poll_{0};
};

// Returns whether the timer must be cancelled because the wall clock was set since the record was
// written.
bool missed_clock_change(const record::Timer& record);

} // namespace evfd::daemon
