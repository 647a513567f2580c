// The service: one handler for each method, and the one place that sees both objects and protocol.
//
// dispatch() decodes a call and passes it to the overload of handle() for its request type. A
// handler returns its reply, a refusal, or a PendingReply for a reply that takes time (Wait,
// Monitor, List, Quotas, and Set and Clear of many tokens). Handlers do not decide about
// permissions: Authorization does, and the service turns its decisions into errors of the
// protocol.
//
// After each handler, apply_changes() calls Delivery, which passes the handler's changes to the
// waits and then to the monitors, so that a waiter is served before a monitor describes the object.
//
// A call that changes something is recorded before its effect, or in one commit with its effect:
// StateStore::prepare() makes room in the state store or the call is refused, the ReplyCache
// records the reply, and commit() makes the effect and the reply certain. The connection calls
// commit() before it sends anything.
//
// Invariants:
// - A handler makes every check that can refuse a call before the first change. There are two
//   exceptions. During a Set of many tokens, a pulse can get more subscribers. A Clear reads the
//   count of a semaphore only after the first time slice, and the count can be too large.
// - What a connection uses is charged to its user for as long as the connection uses it: the Charge
//   object is a member of the object that it pays for.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/access/shared_pool.h"
#include "daemon/base/log.h"
#include "daemon/base/open_descriptors.h"
#include "daemon/objects/registry.h"
#include "daemon/service/caller.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/reply_cache.h"
#include "daemon/service/sessions.h"
#include "daemon/store/descriptor_budget.h"
#include "daemon/waiting/delivery.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/waits.h"

#include <memory>
#include <optional>

namespace evfd::daemon {

// The charges for a connection itself. What its calls use is charged separately.
struct ConnectionCharges {
    Quota::Charge connection;
    SharedPool::Charge descriptor;
    // The charges for unread bytes and descriptors start at 0. They are resized to the actual
    // numbers.
    Quota::Charge unread_bytes;
    Quota::Charge unread_descriptors;
};

class Service {
public:
    Service(EventLoop& loop, LimitTable limits, StateStore& state_store,
            EventfdIncrementer incrementer, DescriptorBudget budget);
    // A Service is not copied or moved, because callbacks hold its address.
    Service(const Service&) = delete;

    // Sets the fd store that Status reports.
    void set_fd_store(FdStore fd_store) { fd_store_ = fd_store; }
    // Recovers the state of an earlier daemon. A session of that daemon ends if no client resumes
    // it within `grace`.
    void restore(RecoveredState recovered, nanoseconds grace);

    Quota& quota() { return quota_; }
    Counters& counters() { return counters_; }
    log::Limited& client_log() { return client_log_; }
    // Replaces the policy. The new policy applies to new calls, and to the waits and monitors that
    // exist already.
    void set_policy(Policy policy);
    // Creates an object that the configuration declares, even if the policy does not allow the
    // owner to create the object. If an object has this name already, it is not changed.
    void declare(uid_t owner, gid_t group, const protocol::CreateEvent& request);
    void declare(uid_t owner, gid_t group, const protocol::Arm& request);

    Outcome<ConnectionCharges> admit(const Peer& peer);
    // Returns a refusal if the user's quota of unread reply bytes has no room for a further reply.
    Outcome<void> check_reply_room(uid_t uid);
    // Makes room in the fd stash for the descriptors that a call is about to store. `coming` is the
    // number of these descriptors. Called before the call changes anything.
    void reserve_stash_room(std::size_t coming);
    // Commits all recorded changes, so that replies can report them. Returns the proof of the
    // commit, or nothing if the commit failed.
    std::optional<Committed> commit();
    // Delivers the changes of a handler to the waits and the monitors. Called after each handler.
    void apply_changes() { delivery_.apply(); }
    // Returns true if there are no objects and no connections.
    bool is_idle() const;

    Outcome<protocol::Resume::Reply> handle(Caller&, const protocol::Resume&);
    Outcome<protocol::CreateEvent::Reply> handle(Caller&, const protocol::CreateEvent&);
    Outcome<protocol::Arm::Reply> handle(Caller&, const protocol::Arm&);
    Outcome<void> handle(Caller&, const protocol::Disarm&);
    Outcome<protocol::Open::Reply> handle(Caller&, const protocol::Open&);
    Outcome<void> handle(Caller&, const protocol::Unsubscribe&);
    Outcome<void> handle(Caller&, const protocol::Acknowledge&);
    // Returns null if the Set is done, so that no pending reply is needed.
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Set&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Clear&);
    Outcome<protocol::Show::Reply> handle(Caller&, const protocol::Show&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::ListObjects&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Wait&);
    Outcome<void> handle(Caller&, const protocol::Join&);
    Outcome<void> handle(Caller&, const protocol::Release&);
    Outcome<void> handle(Caller&, const protocol::Delete&);
    Outcome<void> handle(Caller&, const protocol::SetPermissions&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Monitor&);
    Outcome<protocol::Status::Reply> handle(Caller&, const protocol::Status&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Quotas&);
    Outcome<protocol::Metrics::Reply> handle(Caller&, const protocol::Metrics&);
    Outcome<protocol::GetInfo::Reply> handle(Caller&, const protocol::GetInfo&);
    Outcome<protocol::GetInterfaceDescription::Reply>
    handle(Caller&, const protocol::GetInterfaceDescription&);

    Registry& registry() { return registry_; }
    Sessions& sessions() { return sessions_; }
    const Waits& waits() const { return waits_; }
    const Monitors& monitors() const { return monitors_; }

private:
    Outcome<Quota::Charge> charge(Session& session, const protocol::Wait& request);
    Outcome<void> authorize(const Peer& peer, const Items<Item>& items, Permission permission);
    Outcome<ProcessWatcher::Ref> acquire_process(const Caller& caller, Resource needed_for);
    Outcome<std::optional<ProcessWatcher::Ref>> acquire_process(const Caller& caller,
                                                                std::optional<Lifetime> lifetime);
    Outcome<std::optional<HoldRequest>> make_hold_request(const Caller& caller,
                                                          const protocol::Wait& request);
    template <class Request>
    std::optional<std::uint64_t> precommit_reply(const Caller& caller, const Name& name);
    template <class Request>
    typename Request::Reply creation_reply(const Name& name, std::optional<std::uint64_t> id);
    protocol::Status::Reply status();

    WallTime started_ = wall_now();
    FdStore fd_store_ = FdStore::none;
    EventLoop& loop_;
    SharedPool connections_; // The pool from which each connection takes its descriptor.
    std::int64_t known_descriptors() const
    {
        return registry_.descriptors.used() + connections_.used();
    }

    OpenDescriptors open_descriptors_;
    Counters counters_;
    log::Limited client_log_;
    Quota quota_;
    Registry registry_;
    Monitors monitors_;
    Waits waits_;
    Delivery delivery_;
    Sessions sessions_;
};

} // namespace evfd::daemon
