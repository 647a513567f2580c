// What the daemon does for each call: the one place that sees both the objects and the protocol.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/open_descriptors.h"
#include "daemon/objects/registry.h"
#include "daemon/service/counters.h"
#include "daemon/service/pending_reply.h"
#include "daemon/service/sessions.h"
#include "daemon/store/descriptor_budget.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/waits.h"

#include <functional>
#include <memory>

namespace evfd::daemon {

// Who calls. `wake` has its connection ask a Pending again; it may be called at any time.
struct Caller {
    Session& session;
    std::function<void()> wake;
    const UniqueFd& socket;      // Its connection's.
    nanoseconds accepted;        // When that was, on the boottime clock.
    bool may_reply = true;       // For an answer; else all that it hears is that there is none.
    bool is_sequenced = false;   // By the session, this call.
    bool modifies_state = false; // This call changes what is kept, or may.
    bool is_streaming = false;   // This call was called with `more`.
};

// What a connection costs its user, beside what is done through it.
struct ConnectionCharges {
    Quota::Charge connection;
    Quota::Charge unread_bytes; // As much as there is of it.
    Quota::Charge unread_descriptors;
};

class Service final : private RegistryObserver {
public:
    Service(EventLoop& loop, LimitTable ceilings, StateStore& state_store,
            EventfdIncrementer incrementer, DescriptorBudget budget);

    void set_fd_store(FdStore fd_store) { fd_store_ = fd_store; } // For Status.
    // What an earlier daemon left; its sessions have so long to be taken up again.
    void restore(RecoveredState recovered, nanoseconds grace);

    std::int64_t objects() const { return quota_.used_by_all(Resource::objects); }
    Quota& quota() { return quota_; }
    Counters& counters() { return counters_; }
    // For calls from now on, and for waits and monitors that are under way.
    void set_policy(Policy policy);
    // An object of the configuration is there from now on, whatever the policy says; one that is
    // there already is left as it is.
    void declare(uid_t owner, gid_t group, const protocol::CreateEvent& request);
    void declare(uid_t owner, gid_t group, const protocol::Arm& request);

    Outcome<ConnectionCharges> admit(const Peer& peer);
    // Whether that user's clients have taken enough of what was sent to them.
    bool has_reply_room(uid_t uid);
    Refusal no_reply_room(uid_t uid) const;
    // The answer that a call is not done.
    void refuse(Refusal refusal, OutputQueue& output);
    std::uint64_t new_session_id() { return registry_.new_id(); }
    void end(Session& session) { sessions_.end(session); }
    // Before anything is changed: the refusal, if what was changed could not be kept.
    Outcome<void> prepare();
    // Between two calls: the next one can park so many descriptors.
    void reserve_stash_room(std::size_t coming);
    // Calls it when that is to be tried again.
    EventLoop::Timeout schedule_retry(std::function<void()> task);
    // Before anything goes out that tells of what was changed: whether that is certain.
    bool commit() { return registry_.state_store().commit(); }
    // The caller's next counted call, if it is one that was done and answered before: that answer.
    std::unique_ptr<PendingReply> replay(Session& session);
    void begin_call(Session& session);
    // It was answered so; empty if that cannot be said twice.
    void finish_call(Session& session, std::int64_t sequence_before, std::string_view reply);
    // The same of one that left nothing, so it may as well be done again.
    void finish_idempotent_call(Session& session);

    // Calls `task` once what an earlier daemon left for clients that did not come is gone.
    void on_orphans_ended(std::function<void()> task)
    {
        sessions_.on_orphans_ended(std::move(task));
    }
    // Whether nobody would miss us.
    bool is_idle() const;

    Outcome<protocol::Resume::Reply> handle(Caller&, const protocol::Resume&);
    Outcome<protocol::CreateEvent::Reply> handle(Caller&, const protocol::CreateEvent&);
    Outcome<protocol::Arm::Reply> handle(Caller&, const protocol::Arm&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Disarm&);
    Outcome<protocol::Open::Reply> handle(Caller&, const protocol::Open&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Unsubscribe&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Acknowledge&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&,
                                                  const protocol::Set&); // None: it is done.
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Clear&);
    Outcome<protocol::Show::Reply> handle(Caller&, const protocol::Show&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::ListObjects&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Wait&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Join&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Release&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Delete&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::SetRights&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Monitor&);
    Outcome<protocol::Status::Reply> handle(Caller&, const protocol::Status&);
    Outcome<std::unique_ptr<PendingReply>> handle(Caller&, const protocol::Quotas&);
    Outcome<protocol::Metrics::Reply> handle(Caller&, const protocol::Metrics&);
    Outcome<protocol::GetInfo::Reply> handle(Caller&, const protocol::GetInfo&);
    Outcome<protocol::GetInterfaceDescription::Reply>
    handle(Caller&, const protocol::GetInterfaceDescription&);

    // The object as this peer may see it.
    protocol::Object describe(const Peer& peer, const Name& name, Object& object) const;
    Registry& registry() { return registry_; }
    bool is_observed(const Name& name) const override;

private:
    void on_created(const Name& name, Object& object) override;
    void on_edge(const Name& name, Object& object) override;
    bool on_edges_delivered() override;
    void on_pulsed(const Name& name, Object& object, std::int64_t times) override;
    void on_expired(const Name& name, Object& object, std::int64_t times) override;
    void on_rearmed(const Name& name, Object& object) override;
    void on_cancelled(const Name& name, Object& object) override;
    void on_permissions_changed(const Name& name, Object& object, const Ownership& before) override;
    void on_deleted(const Name& name, const Ownership& before) override;
    void on_interest_changed(const Name& name) override;

    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource, std::int64_t amount = 1);
    Outcome<Quota::Charge> charge(Session& session, const protocol::Wait& request);
    Outcome<ProcessWatcher::Ref> acquire_process(const Caller& caller, Resource needed_for);
    Outcome<std::optional<ProcessWatcher::Ref>> acquire_process(const Caller& caller,
                                                                std::optional<Lifetime> lifetime);
    Outcome<std::optional<HoldRequest>> make_hold_request(const Caller& caller,
                                                          const protocol::Wait& request);
    template <class Request>
    void precommit_reply(Caller& caller, const Name& name);
    protocol::Timer describe(const Timer& timer) const;
    protocol::Status::Reply status();

    WallTime started_ = wall_now();
    FdStore fd_store_ = FdStore::none;
    EventLoop& loop_;
    DescriptorBudget budget_;
    std::int64_t known_descriptors() const
    {
        return registry_.descriptors() + quota_.used_by_all(Resource::connections);
    }

    OpenDescriptors open_descriptors_;
    Counters counters_;
    Quota quota_;
    Registry registry_;
    Sessions sessions_;
    Waits waits_;
    Monitors monitors_;
};

} // namespace evfd::daemon
