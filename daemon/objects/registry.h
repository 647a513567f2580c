// The registry: all named events and timers.
//
// An event is an eventfd, and the eventfd is the only truth about its state: the registry keeps no
// flag that says "set". Clients hold duplicates of the same eventfd and may write and read it at
// any time, without the daemon. The registry creates, opens, sets, clears and deletes objects,
// checks permissions for each of these, and observes what clients do to the events that somebody
// waits for or monitors.
//
// The registry calls nobody. What happens to an object is appended to a list of ObjectChange, which
// Delivery takes and passes to the waits and the monitors. An EdgeWatcher collects the edges of
// watched events; collect_edges() appends them to the list. An object is watched while an Interest
// in it lives or while it is monitored.
//
// Setting events is logged. apply_logged() writes the intent to the state store, has the kernel
// make the increments (EventfdIncrementer), and ends the intent, so that a crash in between neither
// loses nor duplicates a token. Tokens that a wait consumes are recorded afterwards: take() reads
// into the progress page, record_taken() stages a record for the next commit, and confirm_taken()
// or return_tokens() ends that record.
//
// Files: registry.cpp has the table and permissions, registry_edges.cpp the watches and edges,
// registry_timers.cpp the timers, registry_records.cpp the state store and logged tokens.
//
// Invariants:
// - Pending edges are delivered before any change that could hide them: a delete, clear, disarm
//   or re-arm. A waiter gets what was set before the change. These functions demand a Delivered.
// - Everything that can be refused is checked before the first change.
// - An object that is persistent is recorded in the same function that changes it, and nothing
//   is sent to a client before that record is committed.
// - The list is empty before each call of a client: what one call changed reaches the waits before
//   the next call is done.
//
// The registry does not know connections: a Session stands for the client of a call.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"
#include "common/time_slice.h"
#include "daemon/access/policy.h"
#include "daemon/access/quota.h"
#include "daemon/access/refusal.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/objects/cooldowns.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/edge_watch.h"
#include "daemon/objects/edge_watcher.h"
#include "daemon/objects/event.h"
#include "daemon/objects/eventfd_incrementer.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/interest.h"
#include "daemon/objects/object_change.h"
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

// Returns whether each set counts. In the other modes, a set has no effect while the event is set.
constexpr bool accumulates(Mode mode)
{
    return mode == Mode::semaphore || mode == Mode::pulse;
}

// The last set of an event by a call or a timer.
struct LastSet {
    WallTime at;
    uid_t uid;
    pid_t pid; // 0 if a timer set it.
};

// Ways in which a client can misuse a shared event. The event keeps working; we only warn.
enum class Misuse { counter_full, blocking }; // The counter is full; O_NONBLOCK was switched off.

struct Object {
    // A timer is allocated separately; otherwise every event would be as large as a timer.
    using Body = std::variant<Event, Pulse, std::unique_ptr<Timer>>;

    Object(std::uint64_t object_serial, Ownership object_ownership, pid_t creator_pid,
           Lifetime object_lifetime, std::uint64_t lifetime_owner_id, bool persistent,
           Quota::Charge object_charge, Body object_body)
        : serial{object_serial}, ownership{object_ownership}, creator{creator_pid},
          lifetime_owner{lifetime_owner_id}, lifetime{object_lifetime}, is_persistent{persistent},
          charge{std::move(object_charge)}, body{std::move(object_body)}
    {
    }
    Object(const Object&) = delete; // Pinned: its watch holds its address.
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
    SubscriptionTable* subscriptions(); // Null for an event other than a pulse.
    const SubscriptionTable* subscriptions() const;
    Kind kind() const { return timer() ? Kind::timer : Kind::event; }
    std::string description() const; // For messages: "a manual event", "a timer".

    std::uint64_t serial; // 1 to max_object_id. Never reused, unlike a name or an address.
    Ownership ownership;
    pid_t creator;
    WallTime created = wall_now();
    std::optional<LastSet> last_set = {}; // The last set of an event; timers have none.
    // The session or process whose end deletes the object; 0 if it is permanent.
    std::uint64_t lifetime_owner;
    Lifetime lifetime;
    bool is_persistent; // The state store has a record of the object.
    Quota::Charge charge;
    Body body;
    EventHandles handles = {};
    // After body: the watch must be destroyed before the descriptor.
    EdgeWatch watch = {};
    std::int64_t interests = 0; // The number of Interest objects.
    bool is_monitored = false;  // A monitor reports the object, at the last sweep at least.
    std::array<bool, 2> has_warned = {}; // Indexed by Misuse.
};

// Returns the object's id on the wire, which is its serial.
inline protocol::ObjectId id_of(const Object& object)
{
    return {static_cast<std::int64_t>(object.serial)};
}

// Proof that every change up to now was delivered. Each function demands one that makes a change
// which could hide edges.
class Delivered {
public:
    Delivered(const Delivered&) = delete; // A proof is used at once.
    Delivered& operator=(const Delivered&) = delete;

private:
    friend class Registry;
    Delivered() = default;
};

using protocol::Item;

// How a call that creates an object ended.
enum class Made : std::uint8_t { created, existed };

class Registry {
public:
    // `descriptor_budget` limits the descriptors of objects, subscriptions and processes together.
    // `deliver` is called by the loop, never by a function of the registry, when something has
    // happened outside a call.
    Registry(EventLoop& loop, Quota& quota, StateStore& state_store, EventfdIncrementer incrementer,
             std::int64_t descriptor_budget, EdgeWatcher::Deliver deliver);
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // The administrator's policy, which is checked in addition to the objects' permissions.
    const Policy& policy() const { return policy_; }
    Policy set_policy(Policy policy) { return std::exchange(policy_, std::move(policy)); }
    // Returns whether the peer has the permission, by the policy and by the object.
    bool is_allowed(const Peer& peer, const Name& name, const Object& object,
                    Permission permission) const;
    // Returns whether the peer may know that the object exists.
    bool sees(const Peer& peer, const Name& name, const Object& object) const;
    // `skip` is for objects that the configuration declares: the policy does not apply to them.
    enum class PolicyCheck { enforce, skip };
    // Returns the refusal if the peer lacks the permission. A null object means one that does not
    // exist yet.
    Outcome<void> authorize(const Peer& peer, const Name& name, const Object* object,
                            Permission permission,
                            PolicyCheck policy_check = PolicyCheck::enforce) const;

    // The same for a caller that consumes tokens of an auto event or a semaphore and has the
    // permission to wait: it needs the permission to set as well.
    Outcome<void> authorize_consuming(const Peer& peer, const Name& name,
                                      const Object* object) const;

    using Objects = std::map<Name, Object>;
    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const ObjectRef& reference);
    Objects& objects() { return objects_; }

    // Creates the event. It may have existed only with `if_missing`. `process`: the process whose
    // end deletes it, for a lifetime of `process`. `id`: an id from new_id() for the new event, if
    // the caller knows it already.
    Outcome<Made> create(Session& session, const protocol::CreateEvent& request,
                         PolicyCheck policy_check = PolicyCheck::enforce,
                         std::optional<ProcessWatcher::Ref> process = {},
                         std::optional<std::uint64_t> id = {});
    // Creates the timer, or arms one that existed again. `process` and `id`: as for create().
    Outcome<Made> arm(Session& session, const protocol::Arm& request, const Delivered& delivered,
                      PolicyCheck policy_check = PolicyCheck::enforce,
                      std::optional<ProcessWatcher::Ref> process = {},
                      std::optional<std::uint64_t> id = {});
    // Disarms all of the timers, or none if one is refused.
    Outcome<void> disarm(const Peer& peer, const Items<Item>& items, const Delivered& delivered);
    // Opens all of the objects, or none if one is refused. The session owns the subscriptions.
    Outcome<std::vector<protocol::Opened>> open(Session& session, const Items<Item>& items);
    // Returns whether the session had that subscription.
    bool unsubscribe(Session& session, const Token& token);
    // Acknowledges that a timer was cancelled. Returns whether the session has that subscription,
    // to a timer.
    bool acknowledge(const Session& session, const Token& token);
    // Sets all of the events, or none if one is refused. Adds the item's `count` tokens to a
    // semaphore, and sets a pulse `count` times.
    Outcome<void> set(const Peer& peer, const Items<protocol::SetItem>& items);
    // set() in two steps: check_set() returns the increments, add() makes them. In between, the
    // caller may do nothing but record that they will be made.
    struct Increment {
        const Name* name;
        Object* object;
        std::int64_t tokens; // Each subscriber of a pulse gets this number.
        // The pulses to report to the observer. A call is reported once, even if it is done in
        // slices. By default, `tokens`.
        std::optional<std::int64_t> reported_pulses = {};
    };
    using Increments = std::vector<Increment>;
    Outcome<Increments> check_set(const Peer& peer, const Items<protocol::SetItem>& items);
    // The same for a Set that an earlier daemon began, which cannot be refused any more. An
    // increment has no object (null) if the peer may not set the event now, or if that daemon did
    // not have it.
    Increments recheck_set(const Peer& peer, const Items<protocol::SetItem>& items);
    Outcome<void> add(const Peer& peer, const Increments& increments);
    // Clears all of the events, or none if one is refused, in two steps: check_clear() returns the
    // events, clear() clears as many as fit into `slice` and returns whether it is finished. It
    // takes at least one token. Pulses have nothing to clear.
    struct ClearProgress {
        std::vector<ObjectRef> objects;
        std::size_t cleared = 0; // The number of objects that are done.
        // Tokens left in the next object, once known: see drain().
        std::optional<std::uint64_t> remaining{};
    };
    Outcome<ClearProgress> check_clear(const Peer& peer, const Items<Item>& items);
    Outcome<bool> clear(ClearProgress& progress, const TimeSlice& slice,
                        const Delivered& delivered);
    // Deletes all of the objects, or none if one is refused. Waits for them end.
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items,
                                 const Delivered& delivered);
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions,
                                  const Delivered& delivered);
    // Returns whether there are objects that end with the session.
    bool owns_objects(const Session& session) const { return owned_objects_.contains(session.id); }
    // Polls the timers that delete_owned() deletes next.
    void poll_owned(std::uint64_t owner);
    // Deletes the objects that end with this session or process, or as many as one iteration of the
    // loop may delete. Returns whether there are more.
    bool delete_owned(std::uint64_t owner, const Delivered& delivered);
    // Ends the session, after its objects were deleted: its subscriptions and its part in holds.
    void end(Session& session);
    // Ends the part of a process in holds, after its objects were deleted.
    void end(ProcessWatcher::Id process) { holds_.end(process); }
    // Returns a process that has ended since the last call, until there are none.
    std::optional<ProcessWatcher::Id> take_ended_process();

    // Takes what one wait consumes from an auto event or a semaphore. Returns false if there was no
    // token.
    Result<bool> take(Object& object);
    // Records that a call of the session took these tokens; this is certain once it is committed.
    // The record lasts until confirm_taken(), or, with `hold`, until the hold ends.
    void record_taken(std::uint64_t session, TakenTokens& taken, const HoldRecord* hold = nullptr);
    // Ends that record: the client has received the reply, so the tokens are consumed.
    void confirm_taken(const TakenTokens& taken);
    // Returns tokens to their events, because the client will not learn about them or holds them no
    // longer. If they cannot be recorded now, they are returned later.
    void return_tokens(std::span<const TakenTokens> all);

    // Ends the subscriptions of the session's last call, whose reply the client never received.
    void undo_open(Session& session);
    Holds& holds() { return holds_; }
    // Returns a reference to the process at the other end of the socket. `accepted`: as for
    // peer_process(). `needed_for`: the resource that a refusal names if descriptors are short.
    Outcome<ProcessWatcher::Ref> acquire_process(const Peer& peer, const UniqueFd& socket,
                                                 nanoseconds accepted, Resource needed_for);
    // Returns that process if it is watched already.
    Outcome<std::optional<ProcessWatcher::Id>>
    find_process(const Peer& peer, const UniqueFd& socket, nanoseconds accepted) const;
    // Returns the number of descriptors in use by events, subscriptions, wait-only handles and
    // processes.
    std::int64_t descriptors() const
    {
        return event_count_ + quota_.used_by_all(Resource::subscriptions) + processes_.count();
    }
    // Returns an id that no object, session, subscription or process has or had, under this daemon
    // or an earlier one whose state store it has.
    std::uint64_t new_id();
    StateStore& state_store() { return state_store_; }

    // Rebuilds what an earlier daemon left. Returns its sessions as their clients left them.
    std::vector<Session> restore(RecoveredState& recovered);

    // The changes since the last take_changes(), in the order in which they happened.
    bool has_changes() const { return !changes_.empty(); }
    std::vector<ObjectChange> take_changes();
    // Appends all pending edges to the changes.
    void collect_edges();
    // Returns the proof. The caller has collected the edges and delivered all changes.
    Delivered confirm_delivery() const;

    // While the Interest lives, writes and reads of the event or expirations of the timer are
    // reported as changes; earlier edges may be reported as well. With `readable`, an event that is
    // set already is reported too, but not one that is cleared before the edges are collected.
    // EMFILE, ENOMEM, ENOSPC: epoll_ctl(2).
    Result<Interest> watch(const Name& name, Object& object, EdgeMask edges);
    // The same for all monitors together: watches all edges until unmonitor().
    Result<void> monitor(const Name& name, Object& object);
    void unmonitor(const Name& name, Object& object);
    // Stops watching, unless there is an Interest in the object or it is monitored.
    void unwatch_if_unneeded(const Name& name);
    static bool is_watched(const Object& object, EdgeMask edges = EdgeMask::readable);
    // Logs the misuse, once for each object.
    void warn_once(const Name& name, Object& object, Misuse misuse);
    // Reports how often a watched timer expired since the last poll.
    void poll_timer(const Name& name);
    // Returns whether the event that a timer sets was deleted; or whether the timer's armer has
    // lost the permission to set it.
    bool is_target_gone(const Timer::Target& target) const;
    bool is_target_denied(const Timer::Target& target) const;

private:
    using Entry = Objects::value_type;
    friend class Recovery;
    friend class Interest;

    void report(ObjectChange change);
    void report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times = 0);
    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource);
    Outcome<Quota::Charge> charge_for_handle(const Peer& peer);
    Outcome<Quota::Charge> charge_reclaiming_handles(Session& session);
    struct ObjectDraft {
        std::uint64_t serial;
        std::optional<Permissions> permissions;
        Lifetime lifetime;
        bool is_persistent;
    };
    Outcome<ObjectDraft> prepare_object(const Session& session,
                                        std::optional<Permissions> permissions,
                                        std::optional<Lifetime> lifetime,
                                        std::optional<std::uint64_t> id);
    Result<FdStash::Stored> store(Result<UniqueFd> fd, std::uint64_t id, bool is_persistent);
    Outcome<Object::Body> make_body(const protocol::CreateEvent& request, const ObjectDraft& draft);
    Entry& add_object(Session& session, const Name& name, const ObjectDraft& draft,
                      Quota::Charge charge, Object::Body body,
                      std::optional<ProcessWatcher::Ref> process);
    Outcome<protocol::Opened> open_one(Session& session, const Item& item);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Object& object,
                                        Access access);
    Outcome<Object*> find_authorized(const Peer& peer, const Name& name, Permission permission,
                                     PolicyCheck policy_check = PolicyCheck::enforce);
    // The same, but refuses the call if the item has an id and the object has another one.
    Outcome<Object*> find_authorized(const Peer& peer, const Item& item, Permission permission);
    Outcome<Object*> find_event(const Peer& peer, const Item& item);
    Outcome<Timer*> find_authorized_timer(const Peer& peer, const Item& item);
    Outcome<std::optional<Timer::Target>>
    resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check);
    Outcome<void> rearm(Entry& entry, const TimerSpec& spec, std::optional<Timer::Target> target,
                        const Delivered& delivered);
    Result<void> apply_logged(const Increments& increments);
    void return_pending_tokens();
    void record_pending_returns();
    Increments next_returns();

    // Functions that write and erase records in the state store.
    void persist(const Entry& entry);
    void persist_counters(const Object& object);
    void unpersist(const Object& object);
    void unpersist(const Subscription& subscription);
    void remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object);
    bool is_stale(const Session::SubscriptionRef& subscription) const;
    void end_subscription(const Session::SubscriptionRef& subscription);
    void reserve_ids();
    Outcome<void> check_subscriber_limit(const Peer& peer,
                                         const SubscriptionTable& subscriptions) const;
    Outcome<void> check_descriptor_budget(const Peer& peer, Resource resource) const;
    Outcome<void> check_ticks(const Peer& peer, const Name& name, const Schedule& schedule);
    void charge_ticks(Object& object);
    void erase(Objects::iterator object, const Delivered& delivered);
    void remove(Objects::iterator object);
    std::vector<Name> next_owned(std::uint64_t owner) const;
    void end_interest(const ObjectRef& reference);
    Result<void> watch_object(Entry& entry, EdgeMask edges);
    Result<void> watch_event(Entry& entry, const Event& event, EdgeMask edges);
    Result<void> watch_shared(Entry& entry, const Event& event);
    Result<std::shared_ptr<const UniqueFd>> share(Entry& entry, Event& event);
    Outcome<std::shared_ptr<const UniqueFd>> share_wait_only(Session& session, Object& object,
                                                             const Event& event);
    void signal_locally(const Increments& increments);
    void report_pulses(const Increments& increments);
    void restart_polling(Entry& entry);
    void poll(Entry& entry);
    void schedule_poll(Entry& entry);
    void fire_target(Entry& timer, std::int64_t times);
    void skip_target(Entry& timer);
    bool drain_backlog(Entry& timer, Object& event);
    bool add_batch(Entry& timer, Object& event);
    void check_wall_clock();
    void on_clock_set();

    Policy policy_;
    Quota& quota_;
    log::Limited log_;
    StateStore& state_store_;
    EventfdIncrementer incrementer_;
    std::int64_t descriptor_budget_;
    std::int64_t event_count_ = 0; // Events other than pulses; each is one descriptor.
    Cooldowns cooldowns_;          // Pauses users whose timers took long to set their events.
    std::uint64_t last_serial_ = 0;
    std::uint64_t reserved_ids_ = 0;      // The last id that is reserved by a record.
    std::uint64_t last_recovered_id_ = 0; // Later ids are of objects that this daemon created.
    std::vector<ObjectChange> changes_;
    std::vector<ProcessWatcher::Id> ended_processes_;
    ProcessWatcher processes_;
    Holds holds_;
    struct OwnedObjects {
        std::optional<ProcessWatcher::Ref> process; // None if a session owns them.
        std::set<Name> names;
    };
    // Objects that are deleted at the end of a session or process, by Object::lifetime_owner.
    std::map<std::uint64_t, OwnedObjects> owned_objects_;
    EdgeWatcher edges_;       // Declared before objects_: the watches of events are in it.
    DeadlineQueue deadlines_; // Declared before objects_: timers keep their deadlines in it.
    Objects objects_;
    EventLoop& loop_;
    std::deque<TakenTokens> pending_returns_;
    std::optional<EventLoop::Timeout> return_retry_;
};

} // namespace evfd::daemon
