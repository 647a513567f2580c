// The part of the registry that records in the state store what outlives the daemon.
#include "daemon/objects/object_records.h"
#include "daemon/objects/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace evfd::daemon {

std::vector<std::string> Registry::adopt(Inheritance inheritance)
{
    ids_.continue_after(inheritance.last_id, inheritance.is_last_id_certain);
    objects_ = std::move(inheritance.objects);
    owned_objects_ = std::move(inheritance.owned);
    std::vector<std::string> warnings;
    for (auto& entry : objects_)
        if (entry.second.timer())
            adopt_timer(entry, inheritance.missed_clock_change.contains(entry.second.serial),
                        warnings);
    return warnings;
}

void Registry::adopt_timer(Entry& entry, bool missed_clock_change,
                           std::vector<std::string>& warnings)
{
    auto& [name, object] = entry;
    auto& timer = *object.timer();
    if (const auto prepared = deadlines_.prepare(timer.spec().schedule.clock); !prepared) {
        warnings.push_back(
            fmt::format("timer '{}' is not polled: {}", name.text(), prepared.error().message()));
        return;
    }
    if (missed_clock_change && timer.is_cancelled_by_clock_change()) {
        timer.cancel();
        persist(entry);
    }
    const auto checked = timer.subscriptions().for_each(
        [&](const UniqueFd& timerfd) { return timer.resync(timerfd); });
    if (!checked)
        warnings.push_back(fmt::format("cannot program a subscriber's timerfd of '{}': {}",
                                       name.text(), checked.error().message()));
    charge_ticks(object);
    unwatch_if_unneeded(entry.first);
}

void Registry::persist(const Entry& entry)
{
    const auto& [name, object] = entry;
    if (!object.is_persistent)
        return;
    state_store_.put(object.serial, record_of(name, object));
    if (has_recorded_count(object))
        persist_counters(object);
}

void Registry::persist_counters(const Object& object)
{
    if (object.is_persistent)
        state_store_.put(object.serial, counters_of(object));
}

void Registry::unpersist(const Object& object)
{
    if (const auto* subscriptions = object.subscriptions())
        for (const auto& [token, subscription] : subscriptions->all())
            unpersist(subscription);
    if (!object.is_persistent)
        return;
    state_store_.erase(object.serial, record::Kind::object);
    if (object.subscriptions())
        state_store_.erase(object.serial, record::Kind::counters);
}

void Registry::unpersist(const Subscription& subscription)
{
    if (subscription.is_persistent())
        state_store_.erase(subscription.id, record::Kind::subscription);
}

void Registry::remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object)
{
    if (const auto* subscription = object.subscriptions()->find(subscription_ref.token))
        unpersist(*subscription);
    object.subscriptions()->remove(subscription_ref.token);
    report({ObjectChange::Kind::subscribers, {subscription_ref.name, object.serial}});
}

void Registry::undo_open(Session& session)
{
    const auto opened = std::exchange(session.opened, {});
    std::erase_if(session.subscriptions, [&](const Session::SubscriptionRef& subscription_ref) {
        auto* object = find(subscription_ref.name);
        auto* subscriptions = object ? object->subscriptions() : nullptr;
        const auto* subscription =
            subscriptions ? subscriptions->find(subscription_ref.token) : nullptr;
        if (!subscription || std::ranges::find(opened, subscription->id) == opened.end())
            return false;
        remove_subscription(subscription_ref, *object);
        return true;
    });
}

Result<void> Registry::apply_logged(const Increments& increments)
{
    const auto pulsed = tokens_.add(increments);
    if (!pulsed)
        return std::unexpected(pulsed.error());
    report_pulses(*pulsed);
    return {};
}

} // namespace evfd::daemon
