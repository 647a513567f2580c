// A registry for unit tests that delivers its changes at once. In the daemon, the service delivers
// the changes of the registry.
//
// Some functions of Registry require a Delivered as an argument. A Delivered is the proof that all
// earlier changes were delivered. A function of DeliveringRegistry obtains this proof itself, makes
// its changes, and delivers the changes before it returns. So a test needs no code for the
// delivery.
#pragma once

#include "daemon/objects/registry.h"
#include "daemon/waiting/delivery.h"

#include <functional>
#include <optional>
#include <utility>

namespace evfd::daemon {

class DeliveringRegistry : public Registry {
public:
    // The functions of this class call `apply`, which must deliver the recorded changes to the
    // waits and monitors. The event loop calls `deliver` for edges, see EdgeWatcher.
    DeliveringRegistry(EventLoop& loop, Quota& quota, StateStore& store,
                       EventfdIncrementer incrementer, std::int64_t budget,
                       EdgeWatcher::Deliver deliver, std::function<void()> apply)
        : Registry{loop, quota, store, std::move(incrementer), budget, std::move(deliver)},
          apply_{std::move(apply)}
    {
    }

    Delivered deliver_edges()
    {
        edges.collect();
        apply_();
        return objects.confirm_delivery();
    }

    Outcome<Made> create(Session& session, const protocol::CreateEvent& request,
                         PolicyCheck policy_check = PolicyCheck::enforce,
                         std::optional<ProcessWatcher::Ref> process = {},
                         std::optional<std::uint64_t> id = {})
    {
        return applied(lifetimes.create({session, policy_check, std::move(process), id}, request));
    }
    Outcome<Made> arm(Session& session, const protocol::Arm& request,
                      PolicyCheck policy_check = PolicyCheck::enforce,
                      std::optional<ProcessWatcher::Ref> process = {},
                      std::optional<std::uint64_t> id = {})
    {
        timers.poll(request.name);
        return applied(
            arming.arm({session, policy_check, std::move(process), id}, request, deliver_edges()));
    }
    Outcome<void> disarm(const Peer& peer, const Items<Item>& items)
    {
        return applied(arming.disarm(peer, items, deliver_edges_of(items)));
    }
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Items<Item>& items)
    {
        return applied(opening.open(session, items));
    }
    bool unsubscribe(Session& session, const Token& token)
    {
        return applied(opening.unsubscribe(session, token));
    }
    bool acknowledge(const Session& session, const Token& token)
    {
        return applied(timers.acknowledge(session, token));
    }
    Outcome<void> set(const Peer& peer, const Items<protocol::SetItem>& items)
    {
        const auto increments = setting.check_set(peer, items);
        return applied(increments ? setting.add(peer, *increments)
                                  : std::unexpected(increments.error()));
    }
    Outcome<void> clear(const Peer& peer, const Items<Item>& items)
    {
        auto progress = setting.check_clear(peer, items);
        if (!progress)
            return std::unexpected(std::move(progress.error()));
        const auto is_clear =
            applied(setting.clear(*progress, TimeSlice::unlimited(), deliver_edges()));
        return is_clear ? Outcome<void>{} : std::unexpected(is_clear.error());
    }
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items)
    {
        return applied(lifetimes.delete_objects(peer, items, deliver_edges_of(items)));
    }
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions)
    {
        return applied(lifetimes.set_permissions(peer, name, permissions, deliver_edges()));
    }
    // Deletes the objects that the session owns, and ends the session.
    void end(Session& session)
    {
        bool has_more = true;
        while (has_more) {
            for (const auto& name : lifetimes.next_owned(session.id))
                timers.poll(name);
            has_more = applied(lifetimes.delete_owned(session.id, deliver_edges()));
        }
        Registry::end(session);
        apply_();
    }
    void undo_open(Session& session)
    {
        opening.undo(session);
        apply_();
    }

private:
    template <class T>
    T applied(T result)
    {
        apply_();
        return result;
    }
    Delivered deliver_edges_of(const Items<Item>& items)
    {
        for (const auto& item : items.list)
            timers.poll(item.name);
        return deliver_edges();
    }

    std::function<void()> apply_;
};

} // namespace evfd::daemon
