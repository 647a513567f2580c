// A timer: a named schedule. Each subscriber has a private timerfd on the same grid, and reads the
// number of expirations directly from the kernel. The daemon counts expirations too, but only while
// a waiter, a monitor or the event that the timer sets needs the count.
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
        // The serial of that event; a later event of the same name is a different one.
        std::uint64_t serial;
        // The peer that armed the timer. Its permission to set the event is checked at each
        // expiration.
        Peer armer;
        // The configuration declares the timer: the policy does not apply.
        bool is_declared = false;
        std::int64_t backlog = 0; // Tokens or pulses that the event has still to get.
        bool is_gone = false;     // The event did not exist at the last expiration.
        bool has_logged_denial = false;
        BatchSizer batch_sizer = {};
        nanoseconds cooldown{1}; // The time until the next batch, so that other users are served.
    };

    // The new timer is armed and counting, as after arm().
    Timer(const TimerSpec& spec, std::optional<Target> target);

    Clock clock() const { return spec_.clock; }
    const TimerSpec& spec() const { return spec_; }
    TimerState state_at(nanoseconds now) const; // `now` is on the clock of the schedule.
    std::optional<Target>& target() { return target_; }
    const std::optional<Target>& target() const { return target_; }
    SubscriptionTable& subscriptions() { return subscriptions_; }
    const SubscriptionTable& subscriptions() const { return subscriptions_; }

    // Returns whether the existing subscribers' descriptors can use the new settings: the clock of
    // a timerfd cannot change.
    bool can_be_armed_with(const TimerSpec& spec) const;
    // Programs every subscriber's timerfd to the new schedule and counts from its first expiration.
    Result<void> arm(const TimerSpec& spec, std::optional<Target> target);
    Result<void> disarm();
    bool is_armed() const { return phase_ == TimerState::armed; } // Also true after it expired.
    bool is_cancelled_by_clock_change() const;
    // A subscriber's timerfd reports the cancellation once, by ECANCELED. Programming it would lose
    // that, so it stays as it is until acknowledge().
    void cancel() { phase_ = TimerState::cancelled; }
    Result<void> acknowledge(const Token& token) const;

    // Returns a descriptor for a new subscription.
    Result<UniqueFd> make_descriptor() const;

    // Return the record for the state store, and the timer of a record.
    record::Timer record() const;
    static Timer from_record(const record::Timer& record, std::optional<std::int64_t> counted,
                             std::int64_t backlog);
    std::optional<std::int64_t> counted() const { return counted_; }
    // Returns whether the count must be recorded. The clock alone does not show it: the timer may
    // have expired before the clock was set back.
    bool persists_count() const
    {
        return target_ || (spec_.cancel_on_clock_change && spec_.schedule.is_once());
    }
    // Returns whether the timer must be cancelled because the wall clock was set since the record
    // was written.
    static bool missed_clock_change(const record::Timer& record);
    // Programs the timerfd of an earlier daemon's subscriber, unless it already has the schedule.
    Result<void> resync(const UniqueFd& timerfd) const;

    // Counting, for waiters and monitors, and for the event that the timer sets.
    bool must_count() const; // Returns whether the timer must count even if nobody waits.
    bool is_counting() const { return counted_.has_value(); }
    void start_counting(); // Counts from now on; has no effect if the timer is counting already.
    void stop_counting();
    // Returns the number of expirations since the last call.
    std::int64_t take_new_expirations();
    // Returns whether a timer that expires once has expired and was counted: no expiration follows.
    bool has_expired() const;

    // Returns the time of the next poll; nothing if no poll is needed. The largest time of the
    // clock means that no poll is needed, but the TimerDriver must notice that the wall clock is
    // set.
    std::optional<nanoseconds> next_poll() const;
    std::optional<DeadlineQueue::Deadline> deadline; // The next poll by the TimerDriver.
    std::optional<Quota::Charge> ticks;              // The charge of a timer that sets an event.

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
    // Armed, disarmed or cancelled; `expired` follows from the clock.
    TimerState phase_ = TimerState::armed;
    std::optional<Target> target_;
    std::optional<std::int64_t> counted_; // Expirations up to the last poll.
    nanoseconds last_poll_{0};
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
