// What the daemon does for each call: the one place that sees both the objects and the protocol.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/service/counters.h"
#include "daemon/store/descriptor_budget.h"
#include "daemon/waiting/monitors.h"
#include "daemon/base/open_descriptors.h"
#include "daemon/service/pending_reply.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/registry.h"
#include "daemon/service/sessions.h"
#include "daemon/waiting/waits.h"

#include <functional>
#include <memory>

namespace evfd::daemon {

// Who calls. `wake` has its connection ask a Pending again; it may be called at any time.
struct Caller {
    Session& session;
    std::function<void()> wake;
    const UniqueFd& socket;  // Its connection's.
    nanoseconds accepted;    // When that was, on the boottime clock.
    bool has_room = true;    // For an answer; else all that it hears is that there is none.
    bool is_counted = false; // By the session, this call.
    bool changes = false;    // This call changes what is kept, or may.
    bool wants_more = false; // This call was called with `more`.
};

// What a connection costs its user, beside what is done through it.
struct Dues {
    Quota::Charge connection;
    Quota::Charge unread_bytes; // As much as there is of it.
    Quota::Charge unread_descriptors;
};

class Service final : private Audience {
public:
    Service(EventLoop& loop, Ceilings ceilings, Vault& vault, Adder adder, DescriptorBudget budget);

    void set_guardian(Guardian guardian) { guardian_ = guardian; } // For Status.
    // What an earlier daemon left; its sessions have so long to be taken up again.
    void restore(Left left, nanoseconds grace);

    std::int64_t objects() const { return quota_.used_by_all(Resource::objects); }
    Quota& quota() { return quota_; }
    Counters& counters() { return counters_; }
    // For calls from now on, and for waits and monitors that are under way.
    void set_policy(Policy policy);
    // An object of the configuration is there from now on, whatever the policy says; one that is
    // there already is left as it is.
    void declare(uid_t owner, gid_t group, const protocol::CreateEvent& request);
    void declare(uid_t owner, gid_t group, const protocol::Arm& request);

    Outcome<Dues> admit(const Peer& peer);
    // Whether that user's clients have taken enough of what was sent to them.
    bool has_room_for_answers(uid_t uid);
    Refusal no_room_for_answers(uid_t uid) const;
    // The answer that a call is not done.
    void refuse(Refusal refusal, Outbox& outbox);
    std::uint64_t new_session_id() { return registry_.new_id(); }
    void end(Session& session) { sessions_.end(session); }
    // Before anything is changed: the refusal, if what was changed could not be kept.
    Outcome<void> prepare();
    // Between two calls: the next one can park so many descriptors.
    void make_room_to_park(std::size_t coming);
    // Calls it when that is to be tried again.
    EventLoop::Alarm when_to_try_again(std::function<void()> task);
    // Before anything goes out that tells of what was changed: whether that is certain.
    bool commit() { return registry_.vault().commit(); }
    // The caller's next counted call, if it is one that was done and answered before: that answer.
    std::unique_ptr<Pending> replay(Session& session);
    void begin_call(Session& session);
    // It was answered so; empty if that cannot be said twice.
    void end_call(Session& session, std::int64_t calls_before, std::string_view reply);
    // The same of one that left nothing, so it may as well be done again.
    void end_fleeting_call(Session& session);

    // Calls `task` once what an earlier daemon left for clients that did not come is gone.
    void when_sessions_ended(std::function<void()> task) { sessions_.when_ended(std::move(task)); }
    // Whether nobody would miss us.
    bool is_idle() const;

    Outcome<protocol::Resume::Reply> handle(Caller&, const protocol::Resume&);
    Outcome<protocol::CreateEvent::Reply> handle(Caller&, const protocol::CreateEvent&);
    Outcome<protocol::Arm::Reply> handle(Caller&, const protocol::Arm&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Disarm&);
    Outcome<protocol::Open::Reply> handle(Caller&, const protocol::Open&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Unsubscribe&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Acknowledge&);
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::Set&); // None: it is done.
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::Clear&);
    Outcome<protocol::Show::Reply> handle(Caller&, const protocol::Show&);
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::ListObjects&);
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::Wait&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Join&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Release&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::Delete&);
    Outcome<protocol::Nothing> handle(Caller&, const protocol::SetRights&);
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::Monitor&);
    Outcome<protocol::Status::Reply> handle(Caller&, const protocol::Status&);
    Outcome<std::unique_ptr<Pending>> handle(Caller&, const protocol::Quotas&);
    Outcome<protocol::Metrics::Reply> handle(Caller&, const protocol::Metrics&);
    Outcome<protocol::GetInfo::Reply> handle(Caller&, const protocol::GetInfo&);
    Outcome<protocol::GetInterfaceDescription::Reply>
    handle(Caller&, const protocol::GetInterfaceDescription&);

    // The object as this peer may see it.
    protocol::Object describe(const Peer& peer, const Name& name, Object& object) const;
    Registry& registry() { return registry_; }
    bool cares_for(const Name& name) const override;

private:
    void created(const Name& name, Object& object) override;
    void rang(const Name& name, Object& object) override;
    bool heard() override;
    void pulsed(const Name& name, Object& object, std::int64_t times) override;
    void expired(const Name& name, Object& object, std::int64_t times) override;
    void rearmed(const Name& name, Object& object) override;
    void cancelled(const Name& name, Object& object) override;
    void altered(const Name& name, Object& object, const Ownership& before) override;
    void deleted(const Name& name, const Ownership& before) override;
    void attended(const Name& name) override;

    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource, std::int64_t amount = 1);
    Outcome<Quota::Charge> charge(Session& session, const protocol::Wait& request);
    Outcome<Processes::Stay> enter(const Caller& caller, Resource needed_for);
    Outcome<std::optional<Processes::Stay>> enter(const Caller& caller,
                                                  std::optional<Lifetime> lifetime);
    Outcome<std::optional<Lending>> lend(const Caller& caller, const protocol::Wait& request);
    template <class Request>
    void count_making(Caller& caller, const Name& name);
    protocol::Timer describe(const Timer& timer) const;
    protocol::Status::Reply status();

    WallTime started_ = wall_now();
    Guardian guardian_ = Guardian::none;
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
