#include "daemon/service/service.h"

#include "common/protocol/interface.h"
#include "daemon/base/log.h"
#include "daemon/base/on_stack.h"
#include "daemon/objects/recovery.h"
#include "daemon/service/describe.h"
#include "daemon/service/open_metrics.h"
#include "daemon/service/pending_clear.h"
#include "daemon/service/pending_replies.h"
#include "daemon/service/pending_set.h"
#include "daemon/service/write_refusal.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace evfd::daemon {

namespace {

// Logs how the creation of a declared object ended.
void log_declared(const Name& name, uid_t owner, const Outcome<Made>& made)
{
    const auto message = [](const auto& refusal) -> std::string {
        if constexpr (requires { refusal.message; })
            return refusal.message;
        else
            return std::string{refusal.error};
    };
    if (!made)
        log::error({.name = name.text(), .uid = owner},
                   "cannot create '{}' of the configuration: {}", name.text(),
                   std::visit(message, made.error().reason()));
    else if (*made == Made::created)
        log::info({.name = name.text(), .uid = owner}, "created '{}' from the configuration",
                  name.text());
}

bool is_held_by_session(const protocol::Wait& request)
{
    return request.hold == Holder::session;
}

std::int64_t descriptor_limit()
{
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<std::int64_t>(limit.rlim_cur);
}

} // namespace

Service::Service(EventLoop& loop, LimitTable limits, StateStore& state_store,
                 EventfdIncrementer incrementer, DescriptorBudget budget)
    : loop_{loop}, connections_{budget.connections}, quota_{std::move(limits)},
      registry_{loop,           quota_,
                state_store,    std::move(incrementer),
                budget.objects, [this] { return delivery_.run(); }},
      monitors_{loop, registry_},
      waits_{loop, registry_, monitors_, [this](Wait& wait) { delivery_.time_out(wait); }},
      delivery_{loop, registry_, waits_, monitors_}, sessions_{registry_, delivery_}
{
}

void Service::restore(RecoveredState recovered, nanoseconds grace)
{
    const bool history_is_complete = recovered.is_complete() && recovered.warnings.empty();
    auto sessions = recover(registry_, quota_, recovered);
    open_descriptors_.begin(known_descriptors());
    counters_.recovery = {.objects = quota_.used_by_all(Resource::objects),
                          .subscriptions = quota_.used_by_all(Resource::subscriptions),
                          .sessions = static_cast<std::int64_t>(sessions.size()),
                          .losses = static_cast<std::int64_t>(recovered.warnings.size())};
    sessions_.adopt_orphans(loop_, std::move(sessions), grace, history_is_complete);
}

void Service::set_policy(Policy policy)
{
    const OnStack<Service> entered;
    if (policy == registry_.policy())
        return;
    delivery_.deliver_before_ending_waits();
    const auto before = registry_.set_policy(std::move(policy));
    waits_.on_policy_changed();
    monitors_.on_policy_changed(before);
    apply_changes();
}

void Service::declare(uid_t owner, gid_t group, const protocol::CreateEvent& request)
{
    const OnStack<Service> entered;
    reserve_stash_room(1);
    Session session{new_session_id(), {owner, group, ::getpid(), {}}};
    log_declared(request.name, owner,
                 registry_.create(session, request, Registry::PolicyCheck::skip));
    apply_changes();
}

void Service::declare(uid_t owner, gid_t group, const protocol::Arm& request)
{
    const OnStack<Service> entered;
    Session session{new_session_id(), {owner, group, ::getpid(), {}}};
    const auto* existing = registry_.find(request.name);
    log_declared(request.name, owner,
                 existing && existing->timer()
                     ? Outcome<Made>{Made::existed}
                     : registry_.arm(session, request, delivery_.deliver(request.name),
                                     Registry::PolicyCheck::skip));
    apply_changes();
}

// Changes of calls that are not answered yet are committed at the end of the iteration only, and
// thousands of them may stash descriptors.
void Service::reserve_stash_room(std::size_t coming)
{
    registry_.state_store().reserve_fd_slots(coming);
}

Outcome<void> Service::prepare()
{
    if (const auto prepared = registry_.state_store().prepare(); !prepared)
        return std::unexpected(refuse::system_failure(prepared.error()));
    return {};
}

std::optional<Committed> Service::commit()
{
    if (!registry_.state_store().commit())
        return std::nullopt;
    return Committed{};
}

Outcome<Quota::Charge> Service::charge(const Peer& peer, Resource resource, std::int64_t amount)
{
    auto charge = quota_.charge(peer.uid, resource, amount);
    if (!charge)
        return std::unexpected(refuse::quota_exceeded(charge.error()));
    return *std::move(charge);
}

// A wait uses memory for each of its names, and may take a token of each.
Outcome<Quota::Charge> Service::charge(Session& session, const protocol::Wait& request)
{
    const auto wanted = static_cast<std::int64_t>(request.items.list.size());
    if (is_held_by_session(request) &&
        registry_.holds().count_tokens(session) + session.holds_requested + wanted >
            max_tokens_held)
        return std::unexpected(refuse::too_many_tokens_to_hold(request.items.list.back().name));
    return charge(session.peer, Resource::waits, wanted);
}

Outcome<ProcessWatcher::Ref> Service::acquire_process(const Caller& caller, Resource needed_for)
{
    return registry_.processes().acquire(caller.session.peer, caller.socket, caller.accepted,
                                         needed_for);
}

// Returns nothing, unless the object ends with a process.
Outcome<std::optional<ProcessWatcher::Ref>>
Service::acquire_process(const Caller& caller, std::optional<Lifetime> lifetime)
{
    if (lifetime != Lifetime::process)
        return std::nullopt;
    auto process = acquire_process(caller, Resource::objects);
    if (!process)
        return std::unexpected(std::move(process.error()));
    return std::optional{*std::move(process)};
}

Outcome<std::optional<HoldRequest>> Service::make_hold_request(const Caller& caller,
                                                               const protocol::Wait& request)
{
    if (!request.hold)
        return std::nullopt;
    auto hold = Token::make();
    if (!hold)
        return std::unexpected(refuse::system_failure(hold.error()));
    HoldRequest hold_request{.hold = *hold};
    if (!is_held_by_session(request)) {
        auto process = acquire_process(caller, Resource::waits);
        if (!process)
            return std::unexpected(std::move(process.error()));
        hold_request.process.emplace(*std::move(process));
    }
    return std::optional{std::move(hold_request)};
}

// Root and the daemon's user can always connect, for example to delete what uses the descriptors.
Outcome<ConnectionCharges> Service::admit(const Peer& peer)
{
    const auto payer = quota_.payer(peer.uid);
    auto descriptor = connections_.take(payer);
    if (!descriptor && is_daemon_user(peer.uid))
        descriptor = connections_.take_unchecked(payer);
    if (!descriptor)
        return std::unexpected(refuse::reserved_for_others(
            {peer.uid, Resource::connections, quota_.used(peer.uid, Resource::connections)}));
    auto connection = charge(peer, Resource::connections);
    if (!connection)
        return std::unexpected(std::move(connection.error()));
    return ConnectionCharges{*std::move(connection), *std::move(descriptor),
                             quota_.charge_unchecked(peer.uid, Resource::unread_bytes, 0),
                             quota_.charge_unchecked(peer.uid, Resource::unread_descriptors, 0)};
}

bool Service::has_reply_room(uid_t uid)
{
    return quota_.check(uid, Resource::unread_bytes).has_value();
}

Refusal Service::no_reply_room(uid_t uid) const
{
    constexpr auto resource = Resource::unread_bytes;
    return refuse::quota_exceeded({uid, resource, quota_.limit(uid, resource)});
}

void Service::refuse(Refusal refusal, OutputQueue& output)
{
    write_refusal(std::move(refusal), counters_, output);
}

bool Service::is_idle() const
{
    return quota_.used_by_all(Resource::objects) == 0 &&
           quota_.used_by_all(Resource::connections) == 0;
}

// Records the reply before the object is created: after the handler, apply_changes() may complete
// waits for the object, and commits everything when they have taken many tokens. If the creation
// fails, another reply replaces this one.
template <class Request>
std::optional<std::uint64_t> Service::precommit_reply(const Caller& caller, const Name& name)
{
    if (registry_.find(name))
        return {};
    const auto id = registry_.new_id();
    reply_cache(caller.session)
        .commit(typename Request::Reply{true, protocol::ObjectId{static_cast<std::int64_t>(id)}});
    return id;
}

// The methods of io.evfdd.

Outcome<protocol::Resume::Reply> Service::handle(Caller& caller, const protocol::Resume& request)
{
    const auto is_certain = sessions_.resume(caller.session, request);
    if (!is_certain)
        return std::unexpected(is_certain.error());
    return protocol::Resume::Reply{*is_certain};
}

Outcome<protocol::CreateEvent::Reply> Service::handle(Caller& caller,
                                                      const protocol::CreateEvent& request)
{
    const auto id = precommit_reply<protocol::CreateEvent>(caller, request.name);
    auto process = acquire_process(caller, request.lifetime);
    if (!process)
        return std::unexpected(std::move(process.error()));
    const auto made = registry_.create(caller.session, request, Registry::PolicyCheck::enforce,
                                       *std::move(process), id);
    if (!made)
        return std::unexpected(made.error());
    return protocol::CreateEvent::Reply{*made == Made::created,
                                        id_of(*registry_.find(request.name))};
}

Outcome<protocol::Arm::Reply> Service::handle(Caller& caller, const protocol::Arm& request)
{
    const auto& peer = caller.session.peer;
    if (registry_.find(request.name))
        if (auto object =
                registry_.find_authorized(peer, {request.name, request.id}, Permission::set);
            !object)
            return std::unexpected(std::move(object.error()));
    const auto id = precommit_reply<protocol::Arm>(caller, request.name);
    auto process = acquire_process(caller, request.lifetime);
    if (!process)
        return std::unexpected(std::move(process.error()));
    const auto made = registry_.arm(caller.session, request, delivery_.deliver(request.name),
                                    Registry::PolicyCheck::enforce, *std::move(process), id);
    if (!made)
        return std::unexpected(made.error());
    return protocol::Arm::Reply{*made == Made::created, id_of(*registry_.find(request.name))};
}

// A call that is refused delivers nothing, because that costs time and polls timers of others.
Outcome<void> Service::authorize(const Peer& peer, const Items<Item>& items, Permission permission)
{
    for (const auto& item : items.list)
        if (auto object = registry_.find_authorized(peer, item, permission); !object)
            return std::unexpected(std::move(object.error()));
    return {};
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Disarm& request)
{
    const auto& peer = caller.session.peer;
    if (auto permitted = authorize(peer, request.items, Permission::set); !permitted)
        return std::unexpected(std::move(permitted.error()));
    if (auto done = registry_.disarm(peer, request.items, delivery_.deliver(request.items)); !done)
        return std::unexpected(std::move(done.error()));
    return {};
}

Outcome<protocol::Open::Reply> Service::handle(Caller& caller, const protocol::Open& request)
{
    // Assumes that each item comes with a descriptor.
    const auto wanted = static_cast<std::int64_t>(request.items.list.size());
    const auto uid = caller.session.peer.uid;
    if (const auto room = quota_.check(uid, Resource::unread_descriptors, wanted); !room)
        return std::unexpected(refuse::quota_exceeded(room.error()));
    reserve_stash_room(request.items.list.size());
    auto opened = registry_.open(caller.session, request.items);
    if (!opened)
        return std::unexpected(std::move(opened.error()));
    return protocol::Open::Reply{*std::move(opened)};
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Unsubscribe& request)
{
    const auto token = Token::parse(request.subscription);
    if (!token || !registry_.unsubscribe(caller.session, *token))
        return std::unexpected(protocol::InvalidParameter{"subscription"});
    return {};
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Acknowledge& request)
{
    const auto token = Token::parse(request.subscription);
    if (!token || !registry_.acknowledge(caller.session, *token))
        return std::unexpected(protocol::InvalidParameter{"subscription"});
    return {};
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller, const protocol::Set& request)
{
    const auto& peer = caller.session.peer;
    if (reply_cache(caller.session).has_begun())
        return std::make_unique<PendingSet>(loop_, registry_, delivery_, counters_, caller,
                                            registry_.recheck_set(peer, request.items));
    const auto increments = registry_.check_set(peer, request.items);
    if (!increments)
        return std::unexpected(increments.error());
    if (std::ranges::any_of(*increments, [](const auto& one) { return one.tokens > 1; }))
        return std::make_unique<PendingSet>(loop_, registry_, delivery_, counters_, caller,
                                            *increments);
    // The call and the increments are committed together: from then on the call is certain to be
    // done, and done once.
    reply_cache(caller.session).commit(set_reply());
    if (auto done = registry_.add(peer, *increments); !done) {
        // With the intent committed, a part of the tokens may have been added.
        caller.modifies_state = !registry_.state_store().fault();
        return std::unexpected(std::move(done.error()));
    }
    return nullptr;
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::Clear& request)
{
    auto progress = registry_.check_clear(caller.session.peer, request.items);
    if (!progress)
        return std::unexpected(std::move(progress.error()));
    return std::make_unique<PendingClear>(registry_, delivery_, counters_, caller,
                                          *std::move(progress));
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Delete& request)
{
    const auto& peer = caller.session.peer;
    if (auto permitted = authorize(peer, request.items, Permission::own); !permitted)
        return std::unexpected(std::move(permitted.error()));
    if (auto done = registry_.delete_objects(peer, request.items, delivery_.deliver(request.items));
        !done)
        return std::unexpected(std::move(done.error()));
    return {};
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::SetPermissions& request)
{
    const auto& peer = caller.session.peer;
    if (auto object = registry_.find_authorized(peer, Item{request.name}, Permission::own); !object)
        return std::unexpected(std::move(object.error()));
    auto done = registry_.set_permissions(peer, request.name, request.permissions,
                                          delivery_.deliver_before_ending_waits(request.name));
    if (!done)
        return std::unexpected(std::move(done.error()));
    return {};
}

Outcome<protocol::Show::Reply> Service::handle(Caller& caller, const protocol::Show& request)
{
    auto* object = registry_.find(request.name);
    if (!object)
        return std::unexpected(refuse::no_such_name(request.name));
    const auto& peer = caller.session.peer;
    // A peer that may not see the object may not wait for it either, so this refuses.
    if (!registry_.sees(peer, request.name, *object))
        if (auto permitted = registry_.authorize(peer, request.name, object, Permission::wait);
            !permitted)
            return std::unexpected(std::move(permitted.error()));
    return protocol::Show::Reply{describe(registry_, waits_, peer, request.name, *object)};
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::ListObjects& request)
{
    return std::make_unique<PendingList>(registry_, waits_, caller.session.peer,
                                         request.pattern.value_or(Pattern{}));
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
    auto wait = waits_.start(peer, *std::move(charged), request, caller.wake,
                             delivery_.deliver_before(request, peer),
                             reply_cache(caller.session).call(), *std::move(hold_request));
    if (!wait)
        return std::unexpected(std::move(wait.error()));
    const auto first =
        caller.is_streaming ? PendingWait::FirstReply::started : PendingWait::FirstReply::outcome;
    return std::make_unique<PendingWait>(
        registry_, counters_, caller.session, *std::move(wait), first,
        is_held_by_session(request) ? request.items.list.size() : 0);
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Join& request)
{
    const auto hold = Token::parse(request.hold);
    if (!hold || !registry_.holds().exists(*hold, caller.session.peer.uid))
        return std::unexpected(refuse::no_such_hold());
    auto process = acquire_process(caller, Resource::waits);
    if (!process)
        return std::unexpected(std::move(process.error()));
    if (auto joined = registry_.holds().join(*hold, *std::move(process)); !joined)
        return std::unexpected(std::move(joined.error()));
    return {};
}

Outcome<protocol::Nothing> Service::handle(Caller& caller, const protocol::Release& request)
{
    const auto hold = Token::parse(request.hold);
    const auto process =
        registry_.processes().find(caller.session.peer, caller.socket, caller.accepted);
    if (!process)
        return std::unexpected(process.error());
    if (!hold || !registry_.holds().is_holder(*hold, caller.session, *process))
        return std::unexpected(refuse::no_such_hold());
    // Recorded in one commit with the effect; a repeated call would be refused.
    reply_cache(caller.session).commit(protocol::Release::Reply{});
    registry_.holds().release(*hold);
    return {};
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller,
                                                       const protocol::Monitor& request)
{
    const auto& peer = caller.session.peer;
    auto charged = charge(peer, Resource::monitors);
    if (!charged)
        return std::unexpected(std::move(charged.error()));
    const auto scope = request.include_waiters.value_or(false) ? MonitorScope::with_waiters
                                                               : MonitorScope::changes;
    auto monitor = monitors_.start(peer, *std::move(charged), request.pattern.value_or(Pattern{}),
                                   scope, caller.wake);
    return std::make_unique<PendingMonitor>(registry_, waits_, delivery_, counters_,
                                            std::move(monitor));
}

protocol::Status::Reply Service::status()
{
    return {
        .version = EVFDD_VERSION,
        .pid = ::getpid(),
        .started_at = started_,
        .objects = quota_.used_by_all(Resource::objects),
        .connections = quota_.used_by_all(Resource::connections),
        .waits = quota_.used_by_all(Resource::waits),
        .monitors = quota_.used_by_all(Resource::monitors),
        .subscriptions = quota_.used_by_all(Resource::subscriptions),
        .descriptors = open_descriptors_.count(known_descriptors()),
        .descriptor_limit = descriptor_limit(),
        .fd_store = fd_store_,
        .orphaned_sessions = static_cast<std::int64_t>(sessions_.orphan_count()),
        .stashed_descriptors = static_cast<std::int64_t>(registry_.state_store().in_flight()),
        .journal_bytes = static_cast<std::int64_t>(registry_.state_store().journal_bytes()),
        .is_journal_writable = !registry_.state_store().fault(),
    };
}

Outcome<protocol::Status::Reply> Service::handle(Caller&, const protocol::Status&)
{
    return status();
}

Outcome<std::unique_ptr<PendingReply>> Service::handle(Caller& caller, const protocol::Quotas&)
{
    const auto& peer = caller.session.peer;
    return std::make_unique<PendingQuotas>(
        quota_, sees_all_quotas(peer) ? quota_.users() : std::vector<uid_t>{peer.uid});
}

Outcome<protocol::Metrics::Reply> Service::handle(Caller&, const protocol::Metrics&)
{
    counters_.edges = delivery_.edges();
    return protocol::Metrics::Reply{
        open_metrics(counters_, status(), quota_, loop_.iteration_latency())};
}

// The methods of org.varlink.service.

Outcome<protocol::GetInfo::Reply> Service::handle(Caller&, const protocol::GetInfo&)
{
    return protocol::GetInfo::Reply{"The evfdd authors", "evfdd", EVFDD_VERSION, EVFDD_URL,
                                    protocol::interface_names()};
}

Outcome<protocol::GetInterfaceDescription::Reply>
Service::handle(Caller&, const protocol::GetInterfaceDescription& request)
{
    const auto* text = protocol::interface_text(request.interface_name);
    if (!text)
        return std::unexpected(protocol::InterfaceNotFound{request.interface_name});
    return protocol::GetInterfaceDescription::Reply{*text};
}

} // namespace evfd::daemon
