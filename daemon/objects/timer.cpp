#include "daemon/objects/timer.h"

#include <algorithm>
#include <cerrno>

namespace evfd::daemon {

namespace {

// Sets a timerfd of the wall clock to a point on the monotonic one. The kernel adds the span to its
// own "now", which is later than ours, so the point is never early; and it is late by no more than
// went by meanwhile.
Result<void> set_by_span(const UniqueFd& timerfd, const Schedule& schedule, nanoseconds first)
{
    constexpr nanoseconds soon_enough = std::chrono::microseconds{5};
    constexpr int max_tries = 10; // Someone else had the processor in between.
    Result<void> done;
    for (int i = 0; i < max_tries; ++i) {
        const auto before = now_on(schedule.clock);
        done = set(timerfd, {.first = std::max(first - before, nanoseconds{1}),
                             .interval = schedule.interval,
                             .from = TimerSetting::From::now});
        if (!done || now_on(schedule.clock) - before <= soon_enough)
            break;
    }
    return done;
}

// Only setting the wall clock changes it: what slows or hastens the one does the same to the other.
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

record::Link record_of(const Timer::Link& link)
{
    const auto& armer = link.armer;
    record::Link record{.event = link.event,
                        .id = static_cast<record::Id>(link.serial),
                        .is_lost = link.is_lost,
                        .uid = armer.uid};
    if (armer.is_group_mapped)
        record.gid = armer.gid;
    if (!armer.groups.empty())
        record.groups.emplace(armer.groups.begin(), armer.groups.end());
    if (link.is_declared)
        record.is_declared = true;
    return record;
}

Timer::Link link_of(const record::Link& record, std::int64_t owed)
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
            .owed = owed,
            .is_lost = record.is_lost};
}

} // namespace

Timer::Timer(const Arming& arming, std::optional<Link> link)
    : arming_{arming}, link_{std::move(link)}
{
    count_from_first();
}

TimerState Timer::state_at(nanoseconds now) const
{
    const auto& schedule = arming_.schedule;
    // The wall clock may have been set back since: what is counted stays counted.
    const bool is_counted = counted_ && *counted_ > 0;
    if (phase_ == TimerState::armed && schedule.is_once() &&
        (is_counted || schedule.points_by(now) > 0))
        return TimerState::expired;
    return phase_;
}

// Arming.

bool Timer::can_be_armed_with(const Arming& arming) const
{
    return followers_.size() == 0 || arming.descriptor_clock() == arming_.descriptor_clock();
}

Result<void> Timer::arm(const Arming& arming, std::optional<Link> link)
{
    if (link && link_ && link->serial == link_->serial) {
        link->owed = link_->owed;
        link->pace = link_->pace;
    }
    arming_ = arming;
    link_ = std::move(link);
    phase_ = TimerState::armed;
    count_from_first();
    return followers_.for_each(
        [this](const UniqueFd& timerfd) { return settle(timerfd, arming_.schedule.first); });
}

Result<void> Timer::disarm()
{
    phase_ = TimerState::disarmed;
    return followers_.for_each([this](const UniqueFd& timerfd) { return settle(timerfd, {}); });
}

bool Timer::is_cancelled_by_clock_change() const
{
    // One that had passed when it was armed expired then, counted or not.
    const bool has_come = arming_.was_past || (counted_ && *counted_ > 0);
    const bool is_over = arming_.schedule.is_once() && has_come;
    return arming_.cancel_on_clock_change && phase_ == TimerState::armed && !is_over;
}

Result<void> Timer::acknowledge(const Token& token) const
{
    const auto* follower = followers_.find(token);
    return follower && phase_ == TimerState::cancelled ? settle(follower->fd, {}) : Result<void>{};
}

Result<void> Timer::settle(const UniqueFd& timerfd, std::optional<nanoseconds> first) const
{
    if (first && arming_.is_relative && is_wall_clock(arming_.descriptor_clock()))
        return set_by_span(timerfd, arming_.schedule, *first);
    const auto setting =
        first ? TimerSetting{.first = *first,
                             .interval = arming_.schedule.interval,
                             .cancel_on_clock_change = arming_.cancel_on_clock_change}
              : disarmed;
    const auto done = set(timerfd, setting);
    if (!done && done.error().error == ECANCELED) // Of the schedule before; the new one is set.
        return {};
    return done;
}

Result<UniqueFd> Timer::make_descriptor() const
{
    auto timerfd = make_timerfd(arming_.descriptor_clock());
    if (!timerfd)
        return timerfd;
    const auto& schedule = arming_.schedule;
    const auto first = phase_ != TimerState::armed ? std::nullopt
                       : schedule.is_once()        ? std::optional{schedule.first}
                                                   : schedule.next_after(now());
    if (const auto done = settle(*timerfd, first); !done)
        return std::unexpected(done.error());
    return timerfd;
}

// Outliving the daemon.

record::Timer Timer::record() const
{
    record::Timer record{.clock = arming_.clock,
                         .is_relative = arming_.is_relative,
                         .cancel_on_clock_change = arming_.cancel_on_clock_change,
                         .was_past = arming_.was_past,
                         .grid = arming_.schedule.clock,
                         .first = arming_.schedule.first,
                         .interval = arming_.schedule.interval,
                         .phase = phase_,
                         .wall_offset = {},
                         .link = {}};
    if (arming_.cancel_on_clock_change)
        record.wall_offset = wall_offset().count();
    if (link_)
        record.link = record_of(*link_);
    return record;
}

Timer Timer::restored(const record::Timer& record, std::optional<std::int64_t> counted,
                      std::int64_t owed)
{
    std::optional<Link> link;
    if (record.link)
        link = link_of(*record.link, owed);
    Timer timer{{.clock = record.clock,
                 .is_relative = record.is_relative,
                 .cancel_on_clock_change = record.cancel_on_clock_change,
                 .was_past = record.was_past,
                 .schedule = {record.grid, record.first, record.interval}},
                std::move(link)};
    timer.phase_ = record.phase;
    if (counted)
        timer.counted_ = counted;
    return timer;
}

bool Timer::missed_clock_change(const record::Timer& record)
{
    constexpr nanoseconds noise = std::chrono::microseconds{100}; // Of asking two clocks.
    return record.wall_offset && record.phase == TimerState::armed &&
           std::chrono::abs(wall_offset() - nanoseconds{*record.wall_offset}) > noise;
}

// When it is due the interrupt that counts the point comes in an instant, and it shows the next
// one: it is asked until then. A holder can make it look due for ever.
Result<Timer::Look> Timer::look_at(const UniqueFd& timerfd) const
{
    constexpr int max_looks = 100;
    for (int i = 1;; ++i) {
        const auto before = now();
        const auto present = present_setting(timerfd); // Takes no expiration.
        const auto after = now();
        if (!present)
            return std::unexpected(present.error());
        if (present->first != due || i == max_looks)
            return Look{before, *present, after};
    }
}

Result<void> Timer::check(const UniqueFd& timerfd) const
{
    const auto& schedule = arming_.schedule;
    if (phase_ == TimerState::cancelled)
        return {}; // It tells that itself.
    const auto look = look_at(timerfd);
    if (!look)
        return std::unexpected(look.error());
    const auto& [before, present, after] = *look;
    const auto next = phase_ == TimerState::armed ? schedule.next_after(before) : std::nullopt;
    if (present.first == nanoseconds{0}) // Disarmed, or it expired for good.
        return next && *next > after ? settle(timerfd, next) : Result<void>{};
    if (present.first == due && next && present.interval == schedule.interval)
        return {}; // To set it would lose the point that is under way.
    // It expires between two moments: is there a point of the grid?
    const auto from = later(before, present.first) - by_span_tolerance() - nanoseconds{1};
    const auto point = schedule.next_after(from);
    const bool is_right = next && point && *point <= later(after, present.first) &&
                          present.interval == schedule.interval;
    return is_right ? Result<void>{} : settle(timerfd, next);
}

// What is set by a span is a little late: see set_by_span().
nanoseconds Timer::by_span_tolerance() const
{
    const bool is_set_by_span = arming_.is_relative && is_wall_clock(arming_.descriptor_clock());
    return is_set_by_span ? nanoseconds{std::chrono::milliseconds{1}} : nanoseconds{0};
}

// Counting.

bool Timer::is_needed() const
{
    if (link_ && link_->owed > 0)
        return true;
    const bool sets = link_ && !link_->is_lost;
    // One that was to be cancelled, but expired before, is not.
    const bool is_over_once = arming_.cancel_on_clock_change && arming_.schedule.is_once();
    return phase_ == TimerState::armed && (sets || is_alarm(arming_.clock) || is_over_once);
}

void Timer::count_from_first()
{
    // Of the points that had passed already the daemon counts one: it expires at once.
    counted_ = arming_.was_past ? arming_.schedule.points_by(now()) - 1 : 0;
    last_look_ = nanoseconds{0};
}

void Timer::start_counting()
{
    if (counted_)
        return;
    counted_ = arming_.schedule.points_by(now());
    last_look_ = nanoseconds{0};
}

void Timer::stop_counting()
{
    counted_.reset();
    appointment.reset();
}

std::int64_t Timer::count_new()
{
    if (phase_ != TimerState::armed || !counted_)
        return 0;
    last_look_ = now();
    // The wall clock may have been set back: what is counted stays counted.
    const auto points = std::max(*counted_, arming_.schedule.points_by(last_look_));
    return points - std::exchange(*counted_, points);
}

bool Timer::has_expired() const
{
    return state_at(now()) == TimerState::expired && (!counted_ || *counted_ > 0);
}

std::optional<nanoseconds> Timer::next_look() const
{
    const bool is_armed = phase_ == TimerState::armed;
    if (!counted_)
        return is_armed && arming_.cancel_on_clock_change ? std::optional{nanoseconds::max()}
                                                          : std::nullopt;
    if (link_ && link_->owed > 0)
        return now() + link_->rest;
    if (!is_armed)
        return {};
    const auto& schedule = arming_.schedule;
    const auto next = schedule.point(*counted_);
    if (!next || schedule.is_once() || schedule.interval >= min_look_interval)
        return next;
    return std::max(*next, last_look_ + min_look_interval);
}

} // namespace evfd::daemon
