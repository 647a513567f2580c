// A schedule by name. Each follower has a timerfd of its own on the same grid, with a count of its
// own, straight from the kernel. The daemon counts too, but only while someone needs it to.
#pragma once

#include "common/name.h"
#include "common/result.h"
#include "common/socket.h"
#include "common/timerfd.h"
#include "common/unique_fd.h"
#include "common/enums.h"
#include "daemon/objects/timer_spec.h"
#include "daemon/objects/subscription_table.h"
#include "daemon/objects/batch_sizer.h"
#include "daemon/access/quota.h"
#include "daemon/store/records.h"
#include "daemon/objects/deadline_queue.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace evfd::daemon {

// How often the daemon looks at a timer at most; what expires more often is counted in lumps.
inline constexpr std::chrono::milliseconds min_look_interval{1};

class Timer {
public:
    // The event that is set at each expiry.
    struct Link {
        Name event;
        std::uint64_t serial;     // Of that event: another one of the same name is not meant.
        Peer armer;               // By whose right it is set, which is looked at at each expiry.
        bool is_declared = false; // By the configuration: the policy is not asked.
        std::int64_t owed = 0;    // Tokens or pulses that it still has to get.
        bool is_lost = false;     // It was not there at the last expiry.
        bool has_reported_denial = false;
        Pace pace = {};
        nanoseconds rest{1}; // Until others had their turn, and it gets more.
    };

    // Armed and counting, as after arm().
    Timer(const Arming& arming, std::optional<Link> link);

    Clock clock() const { return arming_.clock; }
    const Arming& arming() const { return arming_; }
    TimerState state_at(nanoseconds now) const; // On the clock of its schedule.
    std::optional<Link>& link() { return link_; }
    const std::optional<Link>& link() const { return link_; }
    Followers& followers() { return followers_; }
    const Followers& followers() const { return followers_; }

    // Whether the descriptors of those who follow it now can follow that too: a timerfd cannot
    // change its clock.
    bool can_be_armed_with(const Arming& arming) const;
    // Every follower's descriptor goes by the new schedule. It counts, from the first point on.
    Result<void> arm(const Arming& arming, std::optional<Link> link);
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
    static Timer restored(const record::Timer& record, std::optional<std::int64_t> counted,
                          std::int64_t owed);
    std::optional<std::int64_t> counted() const { return counted_; }
    // Whether what is counted tells more than the clock will: it expired before that was set.
    bool keeps_count() const
    {
        return link_ || (arming_.cancel_on_clock_change && arming_.schedule.is_once());
    }
    // Whether the wall clock was set since that was recorded, and it is to be cancelled for that.
    static bool missed_clock_change(const record::Timer& record);
    // A descriptor that an earlier daemon handed out goes by the schedule, or is made to.
    Result<void> check(const UniqueFd& timerfd) const;

    // Counting, for those who need the daemon to.
    bool is_needed() const; // To count, whether anyone waits or not.
    bool is_counting() const { return counted_.has_value(); }
    void start_counting(); // From now on; nothing if it is already.
    void stop_counting();
    // How often it expired since that was last asked.
    std::int64_t count_new();
    // Whether it was to expire once, did, and that is counted: none is to come.
    bool has_expired() const;

    // When to look next; nothing if there is nothing to be seen. The end of the clock, if only that
    // the clock is set is to be noticed.
    std::optional<nanoseconds> next_look() const;
    std::optional<Timetable::Appointment> appointment; // For then.
    std::optional<Quota::Charge> ticks;                // Of one that sets an event.

private:
    void count_from_first();
    nanoseconds by_span_tolerance() const;
    Result<void> settle(const UniqueFd& timerfd, std::optional<nanoseconds> first) const;
    // What it is set to, and between which two moments.
    struct Look {
        nanoseconds before;
        TimerSetting present;
        nanoseconds after;
    };
    Result<Look> look_at(const UniqueFd& timerfd) const;
    nanoseconds now() const { return now_on(arming_.schedule.clock); }

    Arming arming_;
    TimerState phase_ = TimerState::armed; // Or disarmed or cancelled; the clock tells `expired`.
    std::optional<Link> link_;
    std::optional<std::int64_t> counted_; // Points, up to the last look.
    nanoseconds last_look_{0};
    Followers followers_;
};

} // namespace evfd::daemon
