// A schedule by name. Each follower has a timerfd of its own on the same grid, with a count of its
// own, straight from the kernel. The daemon counts too, but only while someone needs it to.
#pragma once

#include "common/enums.h"
#include "common/name.h"
#include "common/result.h"
#include "common/socket.h"
#include "common/timerfd.h"
#include "common/unique_fd.h"
#include "daemon/access/quota.h"
#include "daemon/objects/batch_sizer.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/subscription_table.h"
#include "daemon/objects/timer_spec.h"
#include "daemon/store/records.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace evfd::daemon {

// How often the daemon looks at a timer at most; what expires more often is counted in lumps.
inline constexpr std::chrono::milliseconds min_poll_interval{1};

class Timer {
public:
    // The event that is set at each expiry.
    struct Target {
        Name event;
        std::uint64_t serial;     // Of that event: another one of the same name is not meant.
        Peer armer;               // By whose right it is set, which is looked at at each expiry.
        bool is_declared = false; // By the configuration: the policy is not asked.
        std::int64_t backlog = 0; // Tokens or pulses that it still has to get.
        bool is_gone = false;     // It was not there at the last expiry.
        bool has_logged_denial = false;
        BatchSizer batch_sizer = {};
        nanoseconds cooldown{1}; // Until others had their turn, and it gets more.
    };

    // Armed and counting, as after arm().
    Timer(const TimerSpec& spec, std::optional<Target> target);

    Clock clock() const { return spec_.clock; }
    const TimerSpec& spec() const { return spec_; }
    TimerState state_at(nanoseconds now) const; // On the clock of its schedule.
    std::optional<Target>& target() { return target_; }
    const std::optional<Target>& target() const { return target_; }
    SubscriptionTable& subscriptions() { return subscriptions_; }
    const SubscriptionTable& subscriptions() const { return subscriptions_; }

    // Whether the descriptors of those who follow it now can follow that too: a timerfd cannot
    // change its clock.
    bool can_be_armed_with(const TimerSpec& spec) const;
    // Every follower's descriptor goes by the new schedule. It counts, from the first point on.
    Result<void> arm(const TimerSpec& spec, std::optional<Target> target);
    Result<void> disarm();
    bool is_armed() const { return phase_ == TimerState::armed; } // Expired or not.
    bool is_cancelled_by_clock_change() const;
    // A follower's descriptor tells of it once, by ECANCELED, and would lose that if it were set to
    // anything; so it goes on until acknowledge().
    void cancel() { phase_ = TimerState::cancelled; }
    Result<void> acknowledge(const Token& token) const;

    // A descriptor that can follow it, as Open has it.
    Result<UniqueFd> make_descriptor() const;

    // What is to outlive the daemon, and as it was left.
    record::Timer record() const;
    static Timer from_record(const record::Timer& record, std::optional<std::int64_t> counted,
                             std::int64_t backlog);
    std::optional<std::int64_t> counted() const { return counted_; }
    // Whether what is counted tells more than the clock will: it expired before that was set.
    bool persists_count() const
    {
        return target_ || (spec_.cancel_on_clock_change && spec_.schedule.is_once());
    }
    // Whether the wall clock was set since that was recorded, and it is to be cancelled for that.
    static bool missed_clock_change(const record::Timer& record);
    // A descriptor that an earlier daemon handed out goes by the schedule, or is made to.
    Result<void> resync(const UniqueFd& timerfd) const;

    // Counting, for those who need the daemon to.
    bool must_count() const; // To count, whether anyone waits or not.
    bool is_counting() const { return counted_.has_value(); }
    void start_counting(); // From now on; nothing if it is already.
    void stop_counting();
    // How often it expired since that was last asked.
    std::int64_t take_new_expirations();
    // Whether it was to expire once, did, and that is counted: none is to come.
    bool has_expired() const;

    // When to look next; nothing if there is nothing to be seen. The end of the clock, if only that
    // the clock is set is to be noticed.
    std::optional<nanoseconds> next_poll() const;
    std::optional<DeadlineQueue::Deadline> deadline; // For then.
    std::optional<Quota::Charge> ticks;              // Of one that sets an event.

private:
    void count_from_first();
    nanoseconds relative_tolerance() const;
    Result<void> program(const UniqueFd& timerfd, std::optional<nanoseconds> first) const;
    // What it is set to, and between which two moments.
    struct Reading {
        nanoseconds before;
        TimerSetting present;
        nanoseconds after;
    };
    Result<Reading> read_setting(const UniqueFd& timerfd) const;
    nanoseconds now() const { return now_on(spec_.schedule.clock); }

    TimerSpec spec_;
    TimerState phase_ = TimerState::armed; // Or disarmed or cancelled; the clock tells `expired`.
    std::optional<Target> target_;
    std::optional<std::int64_t> counted_; // Points, up to the last look.
    nanoseconds last_poll_{0};
    SubscriptionTable subscriptions_;
};

} // namespace evfd::daemon
