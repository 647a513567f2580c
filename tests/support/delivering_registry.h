// A registry for unit tests whose functions deliver what they change, as the service has it done.
//
// Each function that demands a Delivered makes one here, and each change is passed on before the
// function returns. So a test reads as a list of calls.
#pragma once

#include "daemon/objects/registry.h"
#include "daemon/waiting/delivery.h"

#include <functional>
#include <optional>
#include <utility>

namespace evfd::daemon {

class DeliveringRegistry : public Registry {
public:
    // `apply` passes the changes on; `deliver` is for Registry.
    DeliveringRegistry(EventLoop& loop, Quota& quota, StateStore& state_store,
                       EventfdIncrementer incrementer, std::int64_t budget,
                       EdgeWatcher::Deliver deliver, std::function<void()> apply)
        : Registry{loop, quota, state_store, std::move(incrementer), budget, std::move(deliver)},
          apply_{std::move(apply)}
    {
    }

    Delivered deliver_edges()
    {
        collect_edges();
        apply_();
        return confirm_delivery();
    }

    Outcome<Made> create(Session& session, const protocol::CreateEvent& request,
                         PolicyCheck policy_check = PolicyCheck::enforce,
                         std::optional<ProcessWatcher::Ref> process = {},
                         std::optional<std::uint64_t> id = {})
    {
        return applied(Registry::create(session, request, policy_check, std::move(process), id));
    }
    Outcome<Made> arm(Session& session, const protocol::Arm& request,
                      PolicyCheck policy_check = PolicyCheck::enforce,
                      std::optional<ProcessWatcher::Ref> process = {},
                      std::optional<std::uint64_t> id = {})
    {
        poll_timer(request.name);
        return applied(
            Registry::arm(session, request, deliver_edges(), policy_check, std::move(process), id));
    }
    Outcome<void> disarm(const Peer& peer, const Items<Item>& items)
    {
        return applied(Registry::disarm(peer, items, deliver_edges_of(items)));
    }
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Items<Item>& items)
    {
        return applied(Registry::open(session, items));
    }
    bool unsubscribe(Session& session, const Token& token)
    {
        return applied(Registry::unsubscribe(session, token));
    }
    bool acknowledge(const Session& session, const Token& token)
    {
        return applied(Registry::acknowledge(session, token));
    }
    Outcome<void> set(const Peer& peer, const Items<protocol::SetItem>& items)
    {
        const auto increments = check_set(peer, items);
        return applied(increments ? add(peer, *increments) : std::unexpected(increments.error()));
    }
    Outcome<void> clear(const Peer& peer, const Items<Item>& items)
    {
        auto progress = check_clear(peer, items);
        if (!progress)
            return std::unexpected(std::move(progress.error()));
        const auto is_clear =
            applied(Registry::clear(*progress, TimeSlice::unlimited(), deliver_edges()));
        return is_clear ? Outcome<void>{} : std::unexpected(is_clear.error());
    }
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items)
    {
        return applied(Registry::delete_objects(peer, items, deliver_edges_of(items)));
    }
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions)
    {
        return applied(Registry::set_permissions(peer, name, permissions, deliver_edges()));
    }
    // Deletes what the session owns and ends it.
    void end(Session& session)
    {
        poll_owned(session.id);
        while (delete_owned(session.id, deliver_edges()))
            apply_();
        Registry::end(session);
        apply_();
    }
    void undo_open(Session& session)
    {
        Registry::undo_open(session);
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
            poll_timer(item.name);
        return deliver_edges();
    }

    std::function<void()> apply_;
};

} // namespace evfd::daemon
