// The handlers of Service for the methods that create objects, change objects, or wait for them.
#include "daemon/service/pending_clear.h"
#include "daemon/service/pending_replies.h"
#include "daemon/service/pending_set.h"
#include "daemon/service/service.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

namespace evfd::daemon {

namespace {

bool is_held_by_session(const protocol::Wait& request)
{
    return request.hold == Holder::session;
}

} // namespace

// Charges a wait to its user: one unit for each name, because the wait uses memory for each name
// and can take a token from each object.
Outcome<Quota::Charge> Service::charge(Session& session, const protocol::Wait& request)
{
    const auto wanted = static_cast<std::int64_t>(request.items.list.size());
    if (is_held_by_session(request) &&
        registry_.holds.count_tokens(session) + session.holds_requested + wanted > max_tokens_held)
        return std::unexpected(refuse::too_many_tokens_to_hold(request.items.list.back().name));
    return quota_.charge(session.peer.uid, Resource::waits, wanted);
}

Outcome<ProcessWatcher::Ref> Service::acquire_process(const Caller& caller, Resource needed_for)
{
    return registry_.processes.acquire(caller.session.peer, caller.socket, caller.accepted,
                                       needed_for);
}

// Returns the caller's process if the object will end with that process. Returns nothing if the
// object has another lifetime.
Outcome<std::optional<ProcessWatcher::Ref>>
Service::acquire_process(const Caller& caller, std::optional<Lifetime> lifetime)
{
    if (lifetime != Lifetime::process)
        return std::nullopt;
    return acquire_process(caller, Resource::objects);
}

Outcome<std::optional<HoldRequest>> Service::make_hold_request(const Caller& caller,
                                                               const protocol::Wait& request)
{
    if (!request.hold)
        return std::nullopt;
    auto hold = Token::make();
    if (!hold)
        return std::unexpected(hold.error());
    HoldRequest hold_request{.hold = *hold};
    if (!is_held_by_session(request)) {
        auto process = acquire_process(caller, Resource::waits);
        if (!process)
            return std::unexpected(std::move(process.error()));
        hold_request.process.emplace(*std::move(process));
    }
    return std::optional{std::move(hold_request)};
}

// Called before an object is created. Assigns the id of the object, records the reply and returns
// the id. Returns nothing if the name exists already.
//
// The reply must be in the same commit as the object, so it is recorded before the object is
// created. A commit can come before the end of the call: apply_changes() completes waits for the
// new object, and commits if these waits take many tokens. If the creation fails, another reply
// replaces this one.
template <class Request>
std::optional<std::uint64_t> Service::precommit_reply(const Caller& caller, const Name& name)
{
    if (registry_.objects.find(name))
        return {};
    const auto id = registry_.ids.next();
    ReplyCache{registry_, caller.session}.commit(creation_reply<Request>(name, id));
    return id;
}

// Returns the reply to a call that created an object with this id. Without an id, returns the reply
// to a call whose object existed already.
template <class Request>
typename Request::Reply Service::creation_reply(const Name& name, std::optional<std::uint64_t> id)
{
    return {id.has_value(), id ? protocol::ObjectId{static_cast<std::int64_t>(*id)}
                               : id_of(*registry_.objects.find(name))};
}

Outcome<protocol::Resume::Reply> Service::handle(Caller& caller, const protocol::Resume& request)
{
    return Outcome<protocol::Resume::Reply>{sessions_.resume(caller.session, request)};
}

Outcome<protocol::CreateEvent::Reply> Service::handle(Caller& caller,
                                                      const protocol::CreateEvent& request)
{
    const auto id = precommit_reply<protocol::CreateEvent>(caller, request.name);
    auto process = acquire_process(caller, request.lifetime);
    if (!process)
        return std::unexpected(std::move(process.error()));
    const auto made = registry_.lifetimes.create(
        {caller.session, PolicyCheck::enforce, *std::move(process), id}, request);
    if (!made)
        return std::unexpected(made.error());
    return creation_reply<protocol::CreateEvent>(request.name, id);
}

Outcome<protocol::Arm::Reply> Service::handle(Caller& caller, const protocol::Arm& request)
{
    const auto& peer = caller.session.peer;
    if (registry_.objects.find(request.name))
        if (auto object =
                registry_.authorization.find(peer, {request.name, request.id}, Permission::set);
            !object)
            return std::unexpected(std::move(object.error()));
    const auto id = precommit_reply<protocol::Arm>(caller, request.name);
    auto process = acquire_process(caller, request.lifetime);
    if (!process)
        return std::unexpected(std::move(process.error()));
    const auto made =
        registry_.arming.arm({caller.session, PolicyCheck::enforce, *std::move(process), id},
                             request, delivery_.deliver(request.name));
    if (!made)
        return std::unexpected(made.error());
    return creation_reply<protocol::Arm>(request.name, id);
}

// Refuses the call if the peer lacks the permission for an item. The check comes before the
// delivery of changes, because a delivery costs time and polls timers of other users.
Outcome<void> Service::authorize(const Peer& peer, const Items<Item>& items, Permission permission)
{
    for (const auto& item : items.list)
        if (auto object = registry_.authorization.find(peer, item, permission); !object)
            return std::unexpected(std::move(object.error()));
    return {};
}

Outcome<void> Service::handle(Caller& caller, const protocol::Disarm& request)
{
    const auto& peer = caller.session.peer;
    if (auto permitted = authorize(peer, request.items, Permission::set); !permitted)
        return permitted;
    return registry_.arming.disarm(peer, request.items, delivery_.deliver(request.items));
}

Outcome<protocol::Open::Reply> Service::handle(Caller& caller, const protocol::Open& request)
{
    // The quota check assumes that the reply carries one descriptor for each item.
    const auto wanted = static_cast<std::int64_t>(request.items.list.size());
    const auto uid = caller.session.peer.uid;
    if (const auto room = quota_.check(uid, Resource::unread_descriptors, wanted); !room)
        return std::unexpected(room.error());
    reserve_stash_room(request.items.list.size());
    return Outcome<protocol::Open::Reply>{registry_.opening.open(caller.session, request.items)};
}

Outcome<void> Service::handle(Caller& caller, const protocol::Unsubscribe& request)
{
    const auto token = Token::parse(request.subscription);
    if (!token || !registry_.opening.unsubscribe(caller.session, *token))
        return std::unexpected(protocol::InvalidParameter{"subscription"});
    return {};
}

Outcome<void> Service::handle(Caller& caller, const protocol::Acknowledge& request)
{
    const auto token = Token::parse(request.subscription);
    if (!token || !registry_.timers.acknowledge(caller.session, *token))
        return std::unexpected(protocol::InvalidParameter{"subscription"});
    return {};
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller, const protocol::Set& request)
{
    const auto& peer = caller.session.peer;
    ReplyCache reply_cache{registry_, caller.session};
    if (reply_cache.has_begun())
        return std::make_unique<PendingSet>(loop_, registry_, delivery_, counters_, caller,
                                            registry_.setting.recheck_set(peer, request.items));
    const auto increments = registry_.setting.check_set(peer, request.items);
    if (!increments)
        return std::unexpected(increments.error());
    if (std::ranges::any_of(*increments, [](const auto& one) { return one.tokens > 1; }))
        return std::make_unique<PendingSet>(loop_, registry_, delivery_, counters_, caller,
                                            *increments);
    // The reply and the increments are committed together. From that commit on, the call is certain
    // to be done, and done once.
    reply_cache.commit(set_reply());
    if (auto done = registry_.setting.add(peer, *increments); !done) {
        // If the state store has no fault, no commit failed, but a later step of add() failed. In
        // this case, some of the tokens can have been added.
        caller.modifies_state = !registry_.state_store.fault();
        return std::unexpected(std::move(done.error()));
    }
    return nullptr;
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::Clear& request)
{
    auto progress = registry_.setting.check_clear(caller.session.peer, request.items);
    if (!progress)
        return std::unexpected(std::move(progress.error()));
    return std::make_unique<PendingClear>(registry_, delivery_, counters_, caller,
                                          *std::move(progress));
}

Outcome<void> Service::handle(Caller& caller, const protocol::Delete& request)
{
    const auto& peer = caller.session.peer;
    if (auto permitted = authorize(peer, request.items, Permission::own); !permitted)
        return permitted;
    return registry_.lifetimes.delete_objects(peer, request.items,
                                              delivery_.deliver(request.items));
}

Outcome<void> Service::handle(Caller& caller, const protocol::SetPermissions& request)
{
    const auto& peer = caller.session.peer;
    if (auto object = registry_.authorization.find(peer, Item{request.name}, Permission::own);
        !object)
        return std::unexpected(std::move(object.error()));
    return registry_.lifetimes.set_permissions(peer, request.name, request.permissions,
                                               delivery_.deliver_before_ending_waits(request.name));
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::Wait& request)
{
    const auto& peer = caller.session.peer;
    auto charged = charge(caller.session, request);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    auto hold_request = make_hold_request(caller, request);
    if (!hold_request)
        return std::unexpected(std::move(hold_request.error()));
    auto wait = waits_.start(
        peer, *std::move(charged), request, caller.wake, delivery_.deliver_before(request, peer),
        ReplyCache{registry_, caller.session}.call(), *std::move(hold_request));
    if (!wait)
        return std::unexpected(std::move(wait.error()));
    const auto first =
        caller.is_streaming ? PendingWait::FirstReply::started : PendingWait::FirstReply::outcome;
    return std::make_unique<PendingWait>(
        registry_, counters_, caller.session, *std::move(wait), first,
        is_held_by_session(request) ? request.items.list.size() : 0);
}

Outcome<void> Service::handle(Caller& caller, const protocol::Join& request)
{
    const auto hold = Token::parse(request.hold);
    if (!hold || !registry_.holds.exists(*hold, caller.session.peer.uid))
        return std::unexpected(refuse::no_such_hold());
    auto process = acquire_process(caller, Resource::waits);
    if (!process)
        return std::unexpected(std::move(process.error()));
    return registry_.holds.join(*hold, *std::move(process));
}

Outcome<void> Service::handle(Caller& caller, const protocol::Release& request)
{
    const auto hold = Token::parse(request.hold);
    const auto process =
        registry_.processes.find(caller.session.peer, caller.socket, caller.accepted);
    if (!process)
        return std::unexpected(process.error());
    if (!hold || !registry_.holds.is_holder(*hold, caller.session, *process))
        return std::unexpected(refuse::no_such_hold());
    // One commit contains the reply and the end of the hold. If a commit had only the end of the
    // hold, and the daemon crashed, the client would repeat the Release and get a refusal.
    ReplyCache{registry_, caller.session}.commit(protocol::Release::Reply{});
    registry_.holds.release(*hold);
    return {};
}

} // namespace evfd::daemon
