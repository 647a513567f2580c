#include "daemon/objects/timer.h"

#include <algorithm>
#include <cerrno>

namespace evfd::daemon {

namespace {

// Programs a wall-clock timerfd, by a relative time, so that it expires at `first` on the monotonic
// clock. The kernel adds the relative time to its own "now", which is later than the "now" that
// this function reads. The expiration is therefore never early. It is late by at most the time
// between the two readings of "now".
Result<void> set_relative(const UniqueFd& timerfd, const Schedule& schedule, nanoseconds first)
{
    constexpr nanoseconds soon_enough = std::chrono::microseconds{5};
    // If an attempt to set the timerfd takes longer than soon_enough, the timerfd is set again,
    // because the timerfd would expire too late. An attempt takes so long if another process gets
    // the processor in the meantime.
    constexpr int max_tries = 10;
    Result<void> done;
    for (int i = 0; i < max_tries; ++i) {
        const auto before = now_on(schedule.clock);
        done = set(timerfd, {.first = std::max(first - before, nanoseconds{1}),
                             .interval = schedule.interval,
                             .base = TimerSetting::Base::relative});
        if (!done || now_on(schedule.clock) - before <= soon_enough)
            break;
    }
    return done;
}

// Returns the wall clock minus the boottime clock. Only setting the wall clock changes this offset:
// frequency adjustments affect both clocks alike.
nanoseconds wall_offset()
{
    auto best = nanoseconds::max();
    nanoseconds offset{0};
    for (int i = 0; i < 5; ++i) {
        const auto before = now_on(Clock::boottime);
        const auto wall = now_on(Clock::realtime);
        const auto took = now_on(Clock::boottime) - before;
        if (took >= best)
            continue;
        best = took;
        offset = wall - before;
    }
    return offset;
}

record::Target to_record(const Timer::Target& target)
{
    const auto& armer = target.armer;
    record::Target record{.event = target.event,
                          .id = static_cast<record::Id>(target.serial),
                          .is_deleted = target.is_gone,
                          .uid = armer.uid};
    if (armer.is_group_mapped)
        record.gid = armer.gid;
    if (!armer.groups.empty())
        record.groups.emplace(armer.groups.begin(), armer.groups.end());
    if (target.is_declared)
        record.is_declared = true;
    return record;
}

Timer::Target to_target(const record::Target& record, std::int64_t backlog)
{
    Peer armer{static_cast<uid_t>(*record.uid), static_cast<gid_t>(record.gid.value_or(0)), 0, {}};
    armer.is_group_mapped = record.gid.has_value();
    if (record.groups)
        for (const auto group : *record.groups)
            armer.groups.push_back(static_cast<gid_t>(group));
    return {.event = record.event,
            .serial = static_cast<std::uint64_t>(record.id),
            .armer = std::move(armer),
            .is_declared = record.is_declared.value_or(false),
            .backlog = backlog,
            .is_gone = record.is_deleted};
}

} // namespace

Timer::Timer(const TimerSpec& spec, std::optional<Target> new_target)
    : target{std::move(new_target)}, spec_{spec}
{
    count_from_first();
}

TimerState Timer::state_at(nanoseconds now) const
{
    const auto& schedule = spec_.schedule;
    // A counted expiration stays counted, even if the wall clock was set back afterwards.
    const bool is_counted = counted_ && *counted_ > 0;
    if (phase_ == TimerState::armed && schedule.is_once() &&
        (is_counted || schedule.expirations_by(now) > 0))
        return TimerState::expired;
    return phase_;
}

// The following functions arm and disarm the timer.

bool Timer::can_be_armed_with(const TimerSpec& spec) const
{
    return subscriptions.size() == 0 || spec.descriptor_clock() == spec_.descriptor_clock();
}

Result<void> Timer::arm(const TimerSpec& spec, std::optional<Target> new_target)
{
    if (new_target && target && new_target->serial == target->serial) {
        new_target->backlog = target->backlog;
        new_target->batch_sizer = target->batch_sizer;
    }
    spec_ = spec;
    target = std::move(new_target);
    phase_ = TimerState::armed;
    count_from_first();
    return subscriptions.for_each(
        [this](const UniqueFd& timerfd) { return program(timerfd, spec_.schedule.first); });
}

Result<void> Timer::disarm()
{
    phase_ = TimerState::disarmed;
    return subscriptions.for_each([this](const UniqueFd& timerfd) { return program(timerfd, {}); });
}

bool Timer::cancel_by_clock_change()
{
    // A timer that was armed with a first expiration in the past has expired at least once, even if
    // no poll has counted an expiration yet.
    const bool has_passed = spec_.was_past || (counted_ && *counted_ > 0);
    const bool is_finished = spec_.schedule.is_once() && has_passed;
    if (!spec_.cancel_on_clock_change || phase_ != TimerState::armed || is_finished)
        return false;
    phase_ = TimerState::cancelled;
    return true;
}

Result<void> Timer::acknowledge(const Token& token) const
{
    const auto* subscription = subscriptions.find(token);
    return subscription && phase_ == TimerState::cancelled ? program(subscription->fd(), {})
                                                           : Result<void>{};
}

Result<void> Timer::program(const UniqueFd& timerfd, std::optional<nanoseconds> first) const
{
    if (first && spec_.is_relative && is_wall_clock(spec_.descriptor_clock()))
        return set_relative(timerfd, spec_.schedule, *first);
    const auto setting = first
                             ? TimerSetting{.first = *first,
                                            .interval = spec_.schedule.interval,
                                            .cancel_on_clock_change = spec_.cancel_on_clock_change}
                             : disarmed;
    const auto done = set(timerfd, setting);
    // ECANCELED is not a failure. It reports that the previous schedule was cancelled, and the
    // timerfd has the new schedule.
    if (!done && done.error().error == ECANCELED)
        return {};
    return done;
}

Result<UniqueFd> Timer::make_descriptor() const
{
    auto timerfd = make_timerfd(spec_.descriptor_clock());
    if (!timerfd)
        return timerfd;
    const auto& schedule = spec_.schedule;
    const auto first = phase_ != TimerState::armed ? std::nullopt
                       : schedule.is_once()        ? std::optional{schedule.first}
                                                   : schedule.next_after(now());
    if (const auto done = program(*timerfd, first); !done)
        return std::unexpected(done.error());
    return timerfd;
}

// The following functions record and recover the timer.

record::Timer Timer::record() const
{
    record::Timer record{.clock = spec_.clock,
                         .is_relative = spec_.is_relative,
                         .cancel_on_clock_change = spec_.cancel_on_clock_change,
                         .was_in_past = spec_.was_past,
                         .grid = spec_.schedule.clock,
                         .first = spec_.schedule.first,
                         .interval = spec_.schedule.interval,
                         .state = phase_,
                         .wall_offset = {},
                         .target = {}};
    if (spec_.cancel_on_clock_change)
        record.wall_offset = wall_offset().count();
    if (target)
        record.target = to_record(*target);
    return record;
}

Timer Timer::from_record(const record::Timer& record, std::optional<std::int64_t> counted,
                         std::int64_t backlog)
{
    std::optional<Target> recorded;
    if (record.target)
        recorded = to_target(*record.target, backlog);
    Timer timer{{.clock = record.clock,
                 .is_relative = record.is_relative,
                 .cancel_on_clock_change = record.cancel_on_clock_change,
                 .was_past = record.was_in_past,
                 .schedule = {record.grid, record.first, record.interval}},
                std::move(recorded)};
    timer.phase_ = record.state;
    if (counted)
        timer.counted_ = counted;
    return timer;
}

bool missed_clock_change(const record::Timer& record)
{
    // The largest error of wall_offset(), which reads the two clocks one after the other.
    constexpr nanoseconds noise = std::chrono::microseconds{100};
    return record.wall_offset && record.state == TimerState::armed &&
           std::chrono::abs(wall_offset() - nanoseconds{*record.wall_offset}) > noise;
}

// Reads the setting of the timerfd. A timerfd that is due shows its next expiration only after the
// kernel's timer interrupt, which comes in an instant. The function therefore reads again until the
// interrupt has come. The number of reads is limited, because a holder of the timerfd can make it
// look due indefinitely.
Result<Timer::Reading> Timer::read_setting(const UniqueFd& timerfd) const
{
    constexpr int max_reads = 100;
    for (int i = 1;; ++i) {
        const auto before = now();
        const auto present = current_setting(timerfd); // This read consumes no expiration.
        const auto after = now();
        if (!present)
            return std::unexpected(present.error());
        if (present->first != expiry_in_progress || i == max_reads)
            return Reading{before, *present, after};
    }
}

Result<void> Timer::resync(const UniqueFd& timerfd) const
{
    const auto& schedule = spec_.schedule;
    if (phase_ == TimerState::cancelled)
        // Programming the timerfd would lose an ECANCELED that the subscriber has not read yet.
        return {};
    const auto reading = read_setting(timerfd);
    if (!reading)
        return std::unexpected(reading.error());
    const auto& [before, present, after] = *reading;
    const auto next = phase_ == TimerState::armed ? schedule.next_after(before) : std::nullopt;
    // A time of 0 means that the timerfd is disarmed or has expired for the last time. The timerfd
    // is programmed again only if the schedule still has an expiration to come.
    if (present.first == nanoseconds{0})
        return next && *next > after ? program(timerfd, next) : Result<void>{};
    if (present.first == expiry_in_progress && next && present.interval == schedule.interval)
        return {}; // Programming the timerfd would lose the expiration that is due now.
    // The reading shows only an earliest and a latest time of the timerfd's next expiration. The
    // timerfd is correct if it has the schedule's interval, and if an expiration of the schedule is
    // between these two times.
    const auto from = add_saturating(before, present.first) - relative_tolerance() - nanoseconds{1};
    const auto point = schedule.next_after(from);
    const bool is_correct = next && point && *point <= add_saturating(after, present.first) &&
                            present.interval == schedule.interval;
    return is_correct ? Result<void>{} : program(timerfd, next);
}

// Returns by how much the subscribers' timerfds can expire later than the schedule says. A timerfd
// that is programmed by a relative time is a little late: see set_relative().
nanoseconds Timer::relative_tolerance() const
{
    const bool is_set_by_span = spec_.is_relative && is_wall_clock(spec_.descriptor_clock());
    return is_set_by_span ? nanoseconds{std::chrono::milliseconds{1}} : nanoseconds{0};
}

// The following functions count expirations.

bool Timer::must_count() const
{
    if (target && target->backlog > 0)
        return true;
    const bool sets = target && !target->is_gone;
    // Setting the wall clock does not cancel a timer after its only expiration. The daemon must
    // therefore know whether the timer has expired. A clock that was set back does not show this,
    // so the daemon counts the expiration.
    const bool must_record_expiration = spec_.cancel_on_clock_change && spec_.schedule.is_once();
    return phase_ == TimerState::armed && (sets || is_alarm(spec_.clock) || must_record_expiration);
}

void Timer::count_from_first()
{
    // If expirations had passed when the timer was armed, this function counts all of them except
    // the last. The next poll counts the last one, so that the timer expires at once.
    counted_ = spec_.was_past ? spec_.schedule.expirations_by(now()) - 1 : 0;
    last_poll_ = nanoseconds{0};
}

void Timer::start_counting()
{
    if (counted_)
        return;
    counted_ = spec_.schedule.expirations_by(now());
    last_poll_ = nanoseconds{0};
}

void Timer::stop_counting()
{
    counted_.reset();
    deadline.reset();
}

std::int64_t Timer::take_new_expirations()
{
    if (phase_ != TimerState::armed || !counted_)
        return 0;
    last_poll_ = now();
    // A counted expiration stays counted, even if the wall clock was set back afterwards.
    const auto points = std::max(*counted_, spec_.schedule.expirations_by(last_poll_));
    return points - std::exchange(*counted_, points);
}

bool Timer::has_expired() const
{
    return state_at(now()) == TimerState::expired && (!counted_ || *counted_ > 0);
}

std::optional<nanoseconds> Timer::next_poll() const
{
    const bool is_armed = phase_ == TimerState::armed;
    if (!counted_)
        return is_armed && spec_.cancel_on_clock_change ? std::optional{nanoseconds::max()}
                                                        : std::nullopt;
    if (target && target->backlog > 0)
        return now() + target->cooldown;
    if (!is_armed)
        return {};
    const auto& schedule = spec_.schedule;
    const auto next = schedule.expiration(*counted_);
    if (!next || schedule.is_once() || schedule.interval >= min_poll_interval)
        return next;
    return std::max(*next, last_poll_ + min_poll_interval);
}

} // namespace evfd::daemon
