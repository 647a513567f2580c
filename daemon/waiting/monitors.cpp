#include "daemon/waiting/monitors.h"

#include "common/time_slice.h"
#include "daemon/base/log.h"
#include "daemon/base/on_stack.h"
#include "daemon/limits.h"

#include <algorithm>

namespace evfd::daemon {

Monitor::Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern,
                 MonitorScope scope, Wake wake)
    : monitors_{monitors}, peer_{std::move(peer)}, charge_{std::move(charge)},
      pattern_{std::move(pattern)}, scope_{scope}, wake_{std::move(wake)}
{
    monitors_.monitors_.insert(this);
    monitors_.waiter_monitors_ += scope_ == MonitorScope::with_waiters ? 1 : 0;
}

Monitor::~Monitor()
{
    monitors_.monitors_.erase(this);
    monitors_.waiter_monitors_ -= scope_ == MonitorScope::with_waiters ? 1 : 0;
    monitors_.sweep_later(pattern_.range());
}

bool Monitor::may_observe(const Name& name, const Object& object) const
{
    return monitors_.registry_.authorization.is_allowed(peer_, name, object, Permission::wait);
}

bool Monitor::sees(const Name& name, const Object& object) const
{
    return monitors_.registry_.authorization.sees(peer_, name, object);
}

bool Monitor::covers(const Name& name) const
{
    return covers_all_ || (covered_up_to_ && name <= *covered_up_to_);
}

void Monitor::cover(const Name& name)
{
    if (!covers(name))
        covered_up_to_ = name;
}

void Monitor::mark_dirty(const Name& name, bool existed, bool is_deletion)
{
    if (phase_ == Phase::resync)
        return;
    if (phase_ == Phase::present && (!cursor_ || *cursor_ < name))
        return; // The object will be listed later, in its state at that time.
    if (!pattern_.matches(name))
        return;
    auto& entry = dirty_.try_emplace(name, existed, false).first->second;
    entry.was_deleted |= is_deletion;
    if (dirty_.size() > max_dirty_names)
        return resync();
    wake_();
}

void Monitor::resync()
{
    dirty_.clear();
    phase_ = Phase::resync;
    wake_();
}

void Monitor::mark_visibility(const Name& name, bool saw, bool sees)
{
    if (saw || sees)
        mark_dirty(name, saw, !sees);
}

Monitor::MonitorEvent Monitor::make_event(Change change, std::optional<Name> name)
{
    return {++sequence_, change, std::move(name)};
}

std::optional<Monitor::MonitorEvent> Monitor::next()
{
    if (phase_ == Phase::resync) {
        phase_ = Phase::present;
        cursor_.reset();
        listed_next_.reset();
        return make_event(Change::resync);
    }
    const bool may_list = listed_next_ || !must_report_changes();
    return phase_ == Phase::present && may_list ? next_present() : next_change();
}

bool Monitor::must_report_changes() const
{
    return dirty_.size() > max_dirty_names / 2;
}

void Monitor::prepare()
{
    if (phase_ != Phase::present || listed_next_ || must_report_changes())
        return;
    const TimeSlice slice{time_slice};
    std::size_t visited = 0;
    const Name* last = nullptr; // The last name that was visited and is not listed.
    for (auto& [name, object] : monitors_.registry_.objects.in(pattern_.range(), cursor_)) {
        if (visited > 0 && visited % min_objects_per_step == 0 && !slice.left())
            break; // Other connections are served before the listing continues.
        if (pattern_.matches(name) && sees(name, object)) {
            cover(name);
            // The watch begins before the object is described, so that no change after the
            // description is missed.
            if (const auto watched = monitors_.watch(name, object); !watched)
                fault_ = watched.error();
            else
                listed_next_ = name;
            return;
        }
        ++visited;
        last = &name;
    }
    if (!last)
        return;
    cover(*last);
    cursor_ = *last;
}

std::optional<Monitor::MonitorEvent> Monitor::next_present()
{
    if (listed_next_) {
        cursor_ = std::exchange(listed_next_, {});
        return make_event(Change::present, cursor_);
    }
    if (!monitors_.registry_.objects.in(pattern_.range(), cursor_).empty())
        return {};
    phase_ = Phase::live;
    covers_all_ = true;
    return make_event(Change::ready);
}

std::optional<Monitor::MonitorEvent> Monitor::next_change()
{
    while (!dirty_.empty()) {
        auto first = dirty_.begin();
        auto& [name, entry] = *first;
        const auto* object = monitors_.registry_.objects.find(name);
        const bool exists = object && sees(name, *object);
        if (entry.existed && entry.was_deleted) {
            auto event = make_event(Change::deleted, name);
            if (exists)
                entry = {.existed = false, .was_deleted = false};
            else
                dirty_.erase(first);
            return event;
        }
        const auto change = entry.existed ? Change::changed : Change::created;
        const auto reported = dirty_.extract(first);
        if (exists)
            return make_event(change, reported.key());
        // The object was created and deleted between two reports, so nothing is reported.
    }
    return {};
}

std::unique_ptr<Monitor> Monitors::start(const Peer& peer, Quota::Charge charge, Pattern pattern,
                                         MonitorScope scope, Monitor::Wake wake)
{
    const OnStack<Monitors> entered;
    return std::unique_ptr<Monitor>{
        new Monitor{*this, peer, std::move(charge), std::move(pattern), scope, std::move(wake)}};
}

void Monitors::sweep_later(const NameRange& range)
{
    if (is_sweeping_) {
        next_sweep_ = next_sweep_ ? next_sweep_->joined(range) : range;
        return;
    }
    is_sweeping_ = true;
    sweep_range_ = range;
    loop_.defer([this] { sweep(); });
}

void Monitors::sweep()
{
    const TimeSlice slice{max_sweep_time};
    for (auto& [name, object] : registry_.objects.in(sweep_range_, swept_up_to_)) {
        unwatch_if_unobserved(name, object);
        if (slice.left())
            continue;
        swept_up_to_ = name;
        loop_.defer([this] { sweep(); });
        return;
    }
    swept_up_to_.reset();
    is_sweeping_ = false;
    if (const auto next = std::exchange(next_sweep_, {}))
        sweep_later(*next);
}

bool Monitors::is_observing(const Name& name, const Object& object) const
{
    return std::ranges::any_of(monitors_, [&](const Monitor* monitor) {
        return monitor->covers(name) && monitor->may_observe(name, object) &&
               monitor->pattern_.matches(name);
    });
}

Result<void> Monitors::watch(const Name& name, Object& object)
{
    if (object.is_monitored || !is_observing(name, object))
        return {};
    return registry_.watches.monitor(name, object);
}

void Monitors::unwatch_if_unobserved(const Name& name, Object& object)
{
    if (object.is_monitored && !is_observing(name, object))
        registry_.watches.unmonitor(name, object);
}

void Monitors::watch_or_warn(const Name& name, Object& object)
{
    if (const auto watched = watch(name, object); !watched)
        log_.warn({.name = name.text()}, "changes of '{}' are not monitored: {}", name.text(),
                  watched.error().message());
}

void Monitors::on_created(const Name& name, Object& object)
{
    const OnStack<Monitors> entered;
    watch_or_warn(name, object);
    for (auto* monitor : monitors_)
        monitor->mark_visibility(name, false, monitor->sees(name, object));
}

void Monitors::on_changed(const Name& name, const Object& object)
{
    const OnStack<Monitors> entered;
    for (auto* monitor : monitors_)
        if (monitor->may_observe(name, object))
            monitor->mark_dirty(name, true, false);
}

void Monitors::on_permissions_changed(const Name& name, Object& object, const Ownership& before)
{
    const OnStack<Monitors> entered;
    unwatch_if_unobserved(name, object);
    watch_or_warn(name, object);
    for (auto* monitor : monitors_)
        monitor->mark_visibility(
            name, sees(registry_.authorization.policy(), monitor->peer_, name, before),
            monitor->sees(name, object));
}

void Monitors::on_deleted(const Name& name, const Ownership& before)
{
    const OnStack<Monitors> entered;
    for (auto* monitor : monitors_)
        monitor->mark_visibility(
            name, sees(registry_.authorization.policy(), monitor->peer_, name, before), false);
}

void Monitors::on_waiters_changed(const Name& name)
{
    const OnStack<Monitors> entered;
    if (waiter_monitors_ == 0 || !registry_.objects.find(name))
        return;
    const bool is_first = waiters_changed_.empty();
    waiters_changed_.insert(name);
    if (is_first)
        loop_.defer([this] { report_waiters(); });
}

void Monitors::report_waiters()
{
    const TimeSlice slice{max_sweep_time};
    while (!waiters_changed_.empty()) {
        auto next = last_reported_ ? waiters_changed_.upper_bound(*last_reported_)
                                   : waiters_changed_.begin();
        if (next == waiters_changed_.end())
            next = waiters_changed_.begin();
        last_reported_ = std::move(waiters_changed_.extract(next).value());
        // An object that was deleted meanwhile is skipped: on_deleted() has passed the deletion to
        // the monitors.
        if (const auto* object = registry_.objects.find(*last_reported_))
            for (auto* monitor : monitors_)
                if (monitor->scope_ == MonitorScope::with_waiters &&
                    monitor->sees(*last_reported_, *object))
                    monitor->mark_dirty(*last_reported_, true, false);
        if (!waiters_changed_.empty() && !slice.left())
            return loop_.defer([this] { report_waiters(); });
    }
}

void Monitors::on_policy_changed(const Policy& before)
{
    const OnStack<Monitors> entered;
    if (monitors_.empty())
        return;
    if (registry_.objects.all().size() > max_objects_checked_for_policy) {
        for (auto* monitor : monitors_)
            monitor->resync();
        sweep_later({});
        return;
    }
    for (auto& [name, object] : registry_.objects.all())
        check_for_policy(name, object, before);
}

// Reports an object to a monitor only if the new policy changes whether the monitor's peer sees the
// object, or whether the peer is allowed to observe the object's state.
void Monitors::check_for_policy(const Name& name, Object& object, const Policy& before)
{
    unwatch_if_unobserved(name, object);
    watch_or_warn(name, object);
    for (auto* monitor : monitors_) {
        const auto& peer = monitor->peer_;
        const bool was_observable =
            !check_access(&before, peer, name, &object.ownership, Permission::wait);
        const bool saw = daemon::sees(before, peer, name, object.ownership);
        const bool sees = monitor->sees(name, object);
        if (was_observable != monitor->may_observe(name, object) || saw != sees)
            monitor->mark_visibility(name, saw, sees);
    }
}

} // namespace evfd::daemon
