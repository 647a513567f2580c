#include "daemon/waiting/monitors.h"

#include "daemon/base/log.h"

#include <algorithm>

namespace evfd::daemon {

Monitor::Monitor(Monitors& monitors, Peer peer, Quota::Charge charge, Pattern pattern,
                 Hearing hearing, Wake wake)
    : monitors_{monitors}, peer_{std::move(peer)}, charge_{std::move(charge)},
      pattern_{std::move(pattern)}, hearing_{hearing}, wake_{std::move(wake)}
{
    monitors_.monitors_.insert(this);
    monitors_.attentive_ += hearing_ == Hearing::attendance ? 1 : 0;
}

Monitor::~Monitor()
{
    monitors_.monitors_.erase(this);
    monitors_.attentive_ -= hearing_ == Hearing::attendance ? 1 : 0;
    monitors_.sweep_later();
}

bool Monitor::may_hear(const Name& name, const Object& object) const
{
    return monitors_.registry_.may(peer_, name, object, Right::wait);
}

bool Monitor::sees(const Name& name, const Object& object) const
{
    return monitors_.registry_.sees(peer_, name, object);
}

bool Monitor::has_reached(const Name& name) const
{
    return reaches_all_ || (reach_ && name <= *reach_);
}

// What is to be told.

void Monitor::note(const Name& name, bool was_there, bool is_deletion)
{
    if (phase_ == Phase::resync)
        return;
    if (phase_ == Phase::present && (!cursor_ || *cursor_ < name))
        return; // It will be told of as it is then.
    if (!pattern_.matches(name))
        return;
    auto& untold = untold_.try_emplace(name, was_there, false).first->second;
    untold.is_another |= is_deletion;
    if (untold_.size() > max_untold_changes) {
        untold_.clear();
        phase_ = Phase::resync;
    }
    wake_();
}

void Monitor::note_sight(const Name& name, bool saw, bool sees)
{
    if (saw || sees)
        note(name, saw, !sees);
}

Monitor::News Monitor::tell(Change change, std::optional<Name> name)
{
    return {++sequence_, change, std::move(name)};
}

std::optional<Monitor::News> Monitor::next()
{
    if (phase_ == Phase::resync) {
        phase_ = Phase::present;
        cursor_.reset();
        return tell(Change::resync);
    }
    return phase_ == Phase::present ? next_present() : next_change();
}

std::optional<Monitor::News> Monitor::next_present()
{
    auto& objects = monitors_.registry_.objects();
    auto object = cursor_ ? objects.upper_bound(*cursor_) : objects.begin();
    for (int looked_at = 0; object != objects.end(); ++object, ++looked_at) {
        if (looked_at == max_looks)
            return {}; // Others have their turn; then it goes on.
        const auto& name = object->first;
        if (!has_reached(name))
            reach_ = name;
        const bool is_told = pattern_.matches(name) && sees(name, object->second);
        if (is_told) // First, so that no change falls between what it is and what it becomes.
            if (const auto watched = monitors_.watch(name, object->second); !watched) {
                fault_ = watched.error();
                return {};
            }
        cursor_ = name;
        if (is_told)
            return tell(Change::present, name);
    }
    phase_ = Phase::live;
    reaches_all_ = true;
    return tell(Change::ready);
}

std::optional<Monitor::News> Monitor::next_change()
{
    while (!untold_.empty()) {
        auto first = untold_.begin();
        auto& [name, untold] = *first;
        const auto* object = monitors_.registry_.find(name);
        const bool is_there = object && sees(name, *object);
        if (untold.was_there && untold.is_another) {
            auto news = tell(Change::deleted, name);
            if (is_there)
                untold = {.was_there = false, .is_another = false};
            else
                untold_.erase(first);
            return news;
        }
        const auto change = untold.was_there ? Change::changed : Change::created;
        const auto told = untold_.extract(first);
        if (is_there)
            return tell(change, told.key());
        // It came and went unseen.
    }
    return {};
}

// News from the registry.

std::unique_ptr<Monitor> Monitors::start(const Peer& peer, Quota::Charge charge, Pattern pattern,
                                         Hearing hearing, Monitor::Wake wake)
{
    return std::unique_ptr<Monitor>{
        new Monitor{*this, peer, std::move(charge), std::move(pattern), hearing, std::move(wake)}};
}

void Monitors::sweep_later()
{
    sweeps_again_ = swept_.has_value();
    if (!std::exchange(is_sweeping_, true))
        loop_.defer([this] { sweep(); });
}

void Monitors::sweep()
{
    auto& objects = registry_.objects();
    const auto end = monotonic_after(max_sweep);
    auto object = swept_ ? objects.upper_bound(*swept_) : objects.begin();
    for (; object != objects.end(); ++object) {
        registry_.reconsider(object->first);
        if (monotonic_now() < end)
            continue;
        swept_ = object->first;
        loop_.defer([this] { sweep(); });
        return;
    }
    swept_.reset();
    is_sweeping_ = std::exchange(sweeps_again_, false);
    if (is_sweeping_)
        loop_.defer([this] { sweep(); });
}

bool Monitors::care_for(const Name& name, const Object& object) const
{
    return std::ranges::any_of(monitors_, [&](const Monitor* monitor) {
        return monitor->has_reached(name) && monitor->may_hear(name, object) &&
               monitor->pattern_.matches(name);
    });
}

Result<void> Monitors::watch(const Name& name, Object& object)
{
    if (Registry::is_watched(object, Heed::everything) || !care_for(name, object))
        return {};
    return registry_.watch(name, object, Heed::everything);
}

void Monitors::watch_or_tell(const Name& name, Object& object)
{
    if (const auto watched = watch(name, object); !watched)
        log::warn({.name = name.text()}, "changes of '{}' are not monitored: {}", name.text(),
                  watched.error().message());
}

void Monitors::created(const Name& name, Object& object)
{
    watch_or_tell(name, object);
    for (auto* monitor : monitors_)
        monitor->note_sight(name, false, monitor->sees(name, object));
}

void Monitors::changed(const Name& name, const Object& object)
{
    for (auto* monitor : monitors_)
        if (monitor->may_hear(name, object))
            monitor->note(name, true, false);
}

void Monitors::altered(const Name& name, Object& object, const Ownership& before)
{
    registry_.reconsider(name);
    watch_or_tell(name, object);
    for (auto* monitor : monitors_)
        monitor->note_sight(name, sees(registry_.policy(), monitor->peer_, name, before),
                            monitor->sees(name, object));
}

void Monitors::deleted(const Name& name, const Ownership& before)
{
    for (auto* monitor : monitors_)
        monitor->note_sight(name, sees(registry_.policy(), monitor->peer_, name, before), false);
}

void Monitors::attended(const Name& name)
{
    if (attentive_ == 0 || !registry_.find(name))
        return;
    const bool is_first = attended_.empty();
    attended_.insert(name);
    if (is_first)
        loop_.defer([this] { tell_attendance(); });
}

void Monitors::tell_attendance()
{
    const auto end = monotonic_after(max_sweep);
    while (!attended_.empty()) {
        auto next = last_attended_ ? attended_.upper_bound(*last_attended_) : attended_.begin();
        if (next == attended_.end())
            next = attended_.begin();
        last_attended_ = std::move(attended_.extract(next).value());
        if (const auto* object = registry_.find(*last_attended_)) // Else that was told.
            for (auto* monitor : monitors_)
                if (monitor->hearing_ == Hearing::attendance &&
                    monitor->sees(*last_attended_, *object))
                    monitor->note(*last_attended_, true, false);
        if (monotonic_now() >= end && !attended_.empty())
            return loop_.defer([this] { tell_attendance(); });
    }
}

// Who sees more of an object than before, or less, is told so; nobody else is.
void Monitors::policy_changed(const Policy& before)
{
    if (monitors_.empty())
        return;
    for (auto& [name, object] : registry_.objects()) {
        registry_.reconsider(name);
        watch_or_tell(name, object);
        for (auto* monitor : monitors_) {
            const auto& peer = monitor->peer_;
            const bool heard = !denial(&before, peer, name, &object.ownership, Right::wait);
            const bool saw = daemon::sees(before, peer, name, object.ownership);
            const bool sees = monitor->sees(name, object);
            if (heard != monitor->may_hear(name, object) || saw != sees)
                monitor->note_sight(name, saw, sees);
        }
    }
}

} // namespace evfd::daemon
