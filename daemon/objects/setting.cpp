#include "daemon/objects/setting.h"

#include "common/limits.h"
#include "daemon/base/on_stack.h"

#include <algorithm>
#include <cerrno>

namespace evfd::daemon {

namespace {

std::int64_t tokens_of(const protocol::SetItem& item)
{
    return item.count.value_or(protocol::Tokens{1}).value;
}

} // namespace

Outcome<Increments> Setting::check_set(const Peer& peer, const Items<protocol::SetItem>& items)
{
    Increments increments;
    std::int64_t sum = 0;
    for (const auto& item : items.list) {
        const auto object = authorization_.find_event(peer, {item.name, item.id});
        if (!object)
            return std::unexpected(object.error());
        const auto tokens = tokens_of(item);
        sum += count_increments(**object, tokens);
        if (sum > max_tokens_per_set)
            return std::unexpected(refuse::too_many_tokens_to_set(item.name));
        increments.push_back({&item.name, *object, tokens});
    }
    return increments;
}

Increments Setting::recheck_set(const Peer& peer, const Items<protocol::SetItem>& items)
{
    Increments increments;
    for (const auto& item : items.list) {
        const auto object = authorization_.find_event(peer, {item.name, item.id});
        const bool is_recovered = object && ids_.is_recovered((*object)->serial);
        increments.push_back({&item.name, is_recovered ? *object : nullptr, tokens_of(item)});
    }
    return increments;
}

Outcome<void> Setting::add(const Peer& peer, const Increments& increments)
{
    const OnStack<Setting> entered;
    const bool is_observed = std::ranges::any_of(
        increments, [](const Increment& one) { return is_watched(*one.object); });
    if (const auto done = apply(increments, peer.uid, peer.pid); !done)
        return std::unexpected(done.error());
    if (is_observed)
        // The edges of the increments are collected now, because the next request can clear the
        // events.
        events_.collect();
    return {};
}

Result<void> Setting::add_for_timer(const Increment& increment, uid_t armer)
{
    const OnStack<Setting> entered;
    return apply({increment}, armer, 0);
}

// Adds the tokens, reports the pulses and updates `last_set` of each event. `pid` is 0 for a timer.
Result<void> Setting::apply(const Increments& increments, uid_t uid, pid_t pid)
{
    const auto pulsed = tokens_.add(increments);
    if (!pulsed)
        return std::unexpected(pulsed.error());
    for (const auto& pulse : *pulsed) {
        // Reports earlier edges before the pulse, so that a wait for several objects gets the
        // changes in the order in which they happened.
        if (pulse.object->interests > 0)
            events_.collect();
        objects_.report({ObjectChange::Kind::pulsed, {*pulse.name, pulse.object->serial},
                         pulse.tokens});
    }
    const LastSet last_set{wall_now(), uid, pid};
    for (const auto& increment : increments)
        increment.object->last_set = last_set;
    return {};
}

Outcome<ClearProgress> Setting::check_clear(const Peer& peer, const Items<Item>& items)
{
    ClearProgress progress;
    for (const auto& item : items.list) {
        const auto object = authorization_.find_event(peer, item);
        if (!object)
            return std::unexpected(object.error());
        if ((*object)->event())
            progress.objects.push_back({item.name, (*object)->serial});
    }
    return progress;
}

Outcome<bool> Setting::clear(ClearProgress& progress, const TimeSlice& slice, const Delivered&)
{
    const OnStack<Setting> entered;
    for (; progress.cleared < progress.objects.size(); ++progress.cleared) {
        const auto& next = progress.objects[progress.cleared];
        if (auto* object = objects_.find(next)) {
            auto& event = *object->event();
            const auto before = event.number();
            const auto is_clear = event.clear(progress.remaining, slice);
            if (event.number() != before) {
                objects_.persist_counters(*object);
                events_.on_taken(next.name, *object);
            }
            if (!is_clear && is_clear.error().error == E2BIG)
                return std::unexpected(refuse::too_many_tokens_to_clear(next.name));
            if (!is_clear)
                return std::unexpected(is_clear.error());
            if (!*is_clear)
                return false;
        }
        progress.remaining.reset();
    }
    return true;
}

} // namespace evfd::daemon
