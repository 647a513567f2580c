// The objects by name. It knows no socket and no JSON; what happens to an object it tells its
// audience.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/policy.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/cooldowns.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/event.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/pulse.h"
#include "daemon/objects/session.h"
#include "daemon/objects/timer.h"
#include "daemon/objects/wait_only_handle.h"
#include "daemon/store/state_store.h"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace evfd::daemon {

// Whether two sets are more than one.
constexpr bool accumulates(Mode mode)
{
    return mode == Mode::semaphore || mode == Mode::pulse;
}

// When the daemon set an event last, and for whom.
struct LastSet {
    WallTime at;
    uid_t uid;
    pid_t pid; // 0: for a timer.
};

// What is heard of a watched event: that there is something to be had, or every write and read.
enum class EdgeMask : std::uint8_t { readable, any };

// What the holders of a descriptor can do to an event. It works on all the same.
enum class Misuse { counter_full, blocking }; // Its counter is full; O_NONBLOCK is off.

struct Object {
    // A timer is apart, or each event would be as large as one.
    using Body = std::variant<Event, Pulse, std::unique_ptr<Timer>>;

    Object(std::uint64_t object_serial, Ownership object_ownership, pid_t creator_pid,
           Lifetime object_lifetime, std::uint64_t lifetime_owner_id, bool persistent,
           Quota::Charge object_charge, Body object_body)
        : serial{object_serial}, ownership{object_ownership}, creator{creator_pid},
          lifetime_owner{lifetime_owner_id}, lifetime{object_lifetime}, is_persistent{persistent},
          charge{std::move(object_charge)}, body{std::move(object_body)}
    {
    }
    Object(const Object&) = delete; // Pinned: its watch has its address.
    Object& operator=(const Object&) = delete;

    std::optional<Mode> mode() const;                    // None for a timer.
    Event* event() { return std::get_if<Event>(&body); } // Null for a pulse or a timer.
    const Event* event() const { return std::get_if<Event>(&body); }
    Pulse* pulse() { return std::get_if<Pulse>(&body); }
    Timer* timer() { return const_cast<Timer*>(std::as_const(*this).timer()); }
    const Timer* timer() const
    {
        const auto* timer = std::get_if<std::unique_ptr<Timer>>(&body);
        return timer ? timer->get() : nullptr;
    }
    SubscriptionTable* subscriptions(); // Null for an event that is one descriptor.
    const SubscriptionTable* subscriptions() const;
    Kind kind() const { return timer() ? Kind::timer : Kind::event; }
    std::string description() const; // "a manual event", "a timer".

    std::uint64_t serial; // Never given twice, unlike a name or an address.
    Ownership ownership;
    pid_t creator;
    WallTime created = wall_now();
    std::optional<LastSet> last_set = {}; // Of an event.
    std::uint64_t lifetime_owner;         // Or process; whose end is its own; 0: it is permanent.
    Lifetime lifetime;
    bool is_persistent; // In the vault.
    Quota::Charge charge;
    Body body;
    EventHandles handles = {};
    std::optional<EventLoop::Watch> watch; // After body: it must go before the descriptor does.
    EdgeMask watched_edges = EdgeMask::readable; // Of the watch.
    bool skips_first_edge = false;       // The first ring of one of everything says nothing.
    bool drops_watch_on_edge = false;    // Nobody cares for it: with the next ring it goes.
    bool is_signalled_locally = false;   // Its sets, without a watch: nobody else can set it.
    std::array<bool, 2> has_warned = {}; // By Abuse.
};

// Whom the registry tells.
class RegistryObserver {
public:
    virtual void on_created(const Name& name, Object& object) = 0;
    // An event was written or read by anyone; said only of those that are watched. If a manual
    // event was known to be clear when this watch last rang or began, it was set since.
    virtual void on_edge(const Name& name, Object& object) = 0;
    // All that rang up to now was told of by rang(). Whether anyone's wait ended with that.
    virtual bool on_edges_delivered() = 0;
    virtual void on_pulsed(const Name& name, Object& object, std::int64_t times) = 0;
    // A timer that is counted.
    virtual void on_expired(const Name& name, Object& object, std::int64_t times) = 0;
    virtual void on_rearmed(const Name& name, Object& object) = 0;   // Or disarmed.
    virtual void on_cancelled(const Name& name, Object& object) = 0; // The wall clock was set.
    // Its rights.
    virtual void on_permissions_changed(const Name& name, Object& object,
                                        const Ownership& before) = 0;
    virtual void on_deleted(const Name& name, const Ownership& before) = 0; // It is gone already.
    virtual void on_interest_changed(const Name& name) = 0; // Followed by one more, or fewer.
    // Whether anyone wants to hear of it by rang() or expired().
    virtual bool is_observed(const Name& name) const = 0;

protected:
    ~RegistryObserver() = default;
};

// Rings that release nobody are heard no more often than this: an event that is written without end
// would keep the daemon busy for nothing.
inline constexpr std::chrono::microseconds min_edge_interval{500};

// An object: the one with this serial, whatever has the name by now.
struct ObjectRef {
    Name name;
    std::uint64_t serial;
};

class Registry {
public:
    // What may be open for objects and subscriptions together.
    Registry(EventLoop& loop, Quota& quota, RegistryObserver& observer, StateStore& state_store,
             EventfdIncrementer incrementer, std::int64_t descriptor_budget);
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // What the administrator lets whom do, asked together with the rights wherever those are.
    const Policy& policy() const { return policy_; }
    Policy set_policy(Policy policy) { return std::exchange(policy_, std::move(policy)); }
    bool is_allowed(const Peer& peer, const Name& name, const Object& object,
                    Permission right) const;
    bool sees(const Peer& peer, const Name& name, const Object& object) const;
    // Whether the policy has a say, or it is the administrator who asks.
    enum class PolicyCheck { enforce, skip };
    // The refusal of whoever may not. A null object is one that is not there yet.
    Outcome<void> authorize(const Peer& peer, const Name& name, const Object* object,
                            Permission right,
                            PolicyCheck policy_check = PolicyCheck::enforce) const;

    // The same of a caller who consumes from an auto event or a semaphore and has the right to
    // wait: it needs the right to set as well.
    Outcome<void> authorize_consuming(const Peer& peer, const Name& name,
                                      const Object* object) const;

    using Objects = std::map<Name, Object>;
    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const ObjectRef& reference);
    Objects& objects() { return objects_; }

    // Whether it was made; false if it was there already, which only if_missing allows. `process`:
    // the one with which it ends, if it is to be one.
    Outcome<bool> create(Session& session, const protocol::CreateEvent& request,
                         PolicyCheck policy_check = PolicyCheck::enforce,
                         std::optional<ProcessWatcher::Ref> process = {});
    // Whether it was made; else it was there, and is armed anew.
    Outcome<bool> arm(Session& session, const protocol::Arm& request,
                      PolicyCheck policy_check = PolicyCheck::enforce,
                      std::optional<ProcessWatcher::Ref> process = {});
    Outcome<void> disarm(const Peer& peer, const NameList& names);
    Outcome<std::vector<protocol::Opened>> open(Session& session, const NameList& names);
    // Whether the session had it.
    bool unsubscribe(Session& session, const Token& token);
    // Whether the session has it: a timer's, whose cancellation was heard.
    bool acknowledge(const Session& session, const Token& token);
    Outcome<void> set(const Peer& peer, const NameList& names, std::int64_t tokens);
    // The same in two steps: what is to be added where, and adding it. Nothing may happen between
    // but that it is noted that this will be done.
    struct Increment {
        const Name* name;
        Object* object;
        std::int64_t tokens; // Each follower of a pulse gets as many.
        // Pulses that the audience is told of, for it is told once of each call: by default these.
        std::optional<std::int64_t> reported_pulses = {};
    };
    using Increments = std::vector<Increment>;
    Outcome<Increments> check_set(const Peer& peer, const NameList& names, std::int64_t tokens);
    Outcome<void> add(const Peer& peer, const Increments& increments);
    Outcome<void> clear(const Peer& peer, const NameList& names);
    // The same in two steps: what is to be cleared, and clearing it until `end`. Whether that is
    // all of it; one token is taken in any case.
    struct ClearProgress {
        std::vector<ObjectRef> objects;
        std::size_t cleared = 0;                  // Of them.
        std::optional<std::uint64_t> remaining{}; // Of the next one, once it is known: see drain().
    };
    Outcome<ClearProgress> check_clear(const Peer& peer, const NameList& names);
    Outcome<bool> clear(ClearProgress& progress, MonotonicTime end);
    Outcome<void> delete_objects(const Peer& peer, const NameList& names);
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions rights);
    void end(Session& session);

    // What a wait takes from an auto event or a semaphore: false if there was nothing.
    Result<bool> take(Object& object);
    // That a call of the session took these is certain once it is committed, and done once its
    // client has heard, unless they are lent from then on.
    void record_taken(std::uint64_t session, TakenTokens& taken, const HoldRecord* hold = nullptr);
    void confirm_taken(const TakenTokens& taken);
    // Unless the client is never to hear of it, or to hold them any longer: then they are put back.
    // So it is done later, if it cannot be kept now.
    void return_tokens(std::span<const TakenTokens> all);

    // That there is a session which outlives the daemon, and how far it is.
    void persist_session(const Session& session);
    // That a call is answered so, or is certain to be; empty: it cannot be given twice.
    void commit_reply(Session& session, std::string reply);
    void replace_reply(Session& session, std::string reply); // It was counted already.
    // That a Set that is not answered yet has given so many tokens.
    void commit_progress(Session& session, std::int64_t tokens);
    // The client never had what its last call opened.
    void undo_open(Session& session);
    Holds& holds() { return holds_; }
    // The process at the other end of the socket; `accepted`: as for open_peer_pidfd().
    // `needed_for`: what it is refused as if there are too few descriptors.
    Outcome<ProcessWatcher::Ref> acquire_process(const Peer& peer, const UniqueFd& socket,
                                                 nanoseconds accepted, Resource needed_for);
    // The same, if it is known already.
    Outcome<std::optional<ProcessWatcher::Id>>
    find_process(const Peer& peer, const UniqueFd& socket, nanoseconds accepted) const;
    // That it has open: of events, of subscriptions and wait-only handles, and of processes.
    std::int64_t descriptors() const
    {
        return event_count_ + quota_.used_by_all(Resource::subscriptions) + processes_.count();
    }
    std::uint64_t new_id() { return ++last_serial_; }
    StateStore& state_store() { return state_store_; }

    // What an earlier daemon left is there again; the sessions in which their clients left it.
    std::vector<Session> restore(RecoveredState& recovered);

    // From now on the audience hears when the event is written or read, or the timer expires; what
    // was before is no news. Or of sets: also if it is set already, but not if it is cleared before
    // it is heard of. EMFILE, ENOMEM, ENOSPC: epoll_ctl(2).
    Result<void> watch(const Name& name, Object& object, EdgeMask edges);
    static bool is_watched(const Object& object, EdgeMask edges = EdgeMask::readable);
    // Says so in the log, once for each object.
    static void warn_once(const Name& name, Object& object, Misuse misuse);
    // No longer, unless someone still cares.
    void unwatch_if_unobserved(const Name& name);
    // Tells the audience now what has been done to watched events up to now. Whether anyone's wait
    // ended with that.
    bool deliver_edges();
    // The same of a watched timer: how often it expired.
    void poll_timer(const Name& name);
    // Of a timer that sets an event: whether that is gone; or whether who armed the timer may not
    // set it any more.
    bool is_target_gone(const Timer::Target& target) const;
    bool is_target_denied(const Timer::Target& target) const;

private:
    using Entry = Objects::value_type;
    friend class Recovery;

    static Outcome<Object::Body> make_body(const protocol::CreateEvent& request);
    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource);
    Outcome<Quota::Charge> charge_for_handle(const Peer& peer);
    Outcome<Quota::Charge> charge_reclaiming_handles(Session& session);
    struct ObjectDraft {
        std::uint64_t serial;
        std::optional<Permissions> rights;
        Lifetime lifetime;
        bool is_persistent;
    };
    Outcome<ObjectDraft> prepare_object(const Session& session, std::optional<Permissions> rights,
                                        std::optional<Lifetime> lifetime);
    Entry& add_object(Session& session, const Name& name, const ObjectDraft& draft,
                      Quota::Charge charge, Object::Body body,
                      std::optional<ProcessWatcher::Ref> process);
    Outcome<protocol::Opened> open_one(Session& session, const Name& name, Object& object);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Object& object,
                                        Access access);
    Outcome<Object*> find_authorized(const Peer& peer, const Name& name, Permission right,
                                     PolicyCheck policy_check = PolicyCheck::enforce);
    Outcome<Timer*> find_authorized_timer(const Peer& peer, const Name& name);
    Outcome<std::optional<Timer::Target>>
    resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check);
    Outcome<void> rearm(Entry& entry, const TimerSpec& spec, std::optional<Timer::Target> target);
    Result<void> apply_logged(const Increments& increments);
    void return_pending_tokens();
    void record_pending_returns();
    Increments next_returns();

    // The vault.
    void persist(const Entry& entry);
    void persist_counters(const Object& object);
    void unpersist(const Object& object);
    void unpersist(const Subscription& subscription);
    void remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object);
    bool is_stale(std::uint64_t owner, const Name& owned) const;
    bool is_stale(const Session::SubscriptionRef& subscription) const;
    void end_subscription(const Session::SubscriptionRef& subscription);
    Outcome<void> check_subscriber_limit(const Peer& peer,
                                         const SubscriptionTable& subscriptions) const;
    Outcome<void> check_descriptor_budget(const Peer& peer, Resource resource) const;
    Outcome<void> check_ticks(const Peer& peer, const Name& name, const Schedule& schedule);
    void charge_ticks(Object& object);
    void erase(Objects::iterator object);
    void delete_owned(std::vector<Name> owned, std::uint64_t owner);
    void end(ProcessWatcher::Id process);
    Result<void> watch_event(Entry& entry, const Event& event, EdgeMask edges);
    Result<void> watch_descriptor(Entry& entry, const Event& event, EdgeMask edges);
    Result<void> watch_shared(Entry& entry, const Event& event);
    Result<std::shared_ptr<const UniqueFd>> share(Entry& entry, Event& event);
    Outcome<std::shared_ptr<const UniqueFd>> share_wait_only(Session& session, Object& object,
                                                             const Event& event);
    void signal_locally(const Increments& increments);
    void on_edge(Entry& entry, std::uint32_t events);
    void on_edges();
    void enable_edges();
    void restart_polling(Entry& entry);
    void poll(Entry& entry);
    void schedule_poll(Entry& entry);
    void fire_target(Entry& timer, std::int64_t times);
    void skip_target(Entry& timer);
    bool drain_backlog(Entry& timer, Object& event);
    bool add_batch(Entry& timer, Object& event);
    void on_clock_set();

    Policy policy_;
    Quota& quota_;
    RegistryObserver& observer_;
    StateStore& state_store_;
    EventfdIncrementer incrementer_;
    std::int64_t descriptor_budget_;
    std::int64_t event_count_ = 0; // Objects that are one descriptor.
    Cooldowns cooldowns_;          // Of those whose timers' events took long to set.
    std::uint64_t last_serial_ = 0;
    ProcessWatcher processes_;
    Holds holds_;
    struct ProcessObjects {
        ProcessWatcher::Ref owner;
        std::set<Name> names;
    };
    std::map<ProcessWatcher::Id, ProcessObjects>
        process_objects_; // Objects that end with a process.
    bool is_delivering_ = false;
    std::vector<Entry*> signalled_locally_; // That are told of, since we last heard.
    EventLoop edge_epoll_;    // Watched events alone, so that they can be heard at any time.
    DeadlineQueue deadlines_; // Before objects_: timers have their appointments there.
    Objects objects_;
    std::optional<EventLoop::Watch> edge_watch_; // Of edge_epoll_, while they are listened to.
    EventLoop& loop_;
    MonotonicTime last_delivery_{};
    std::optional<EventLoop::Timeout> edge_throttle_; // Until they are listened to again.
    std::deque<TakenTokens> pending_returns_;
    std::optional<EventLoop::Timeout> return_retry_;
};

} // namespace evfd::daemon
