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
// Tokens are added, taken and returned through the TokenLog, so that no crash loses one.
//
// Files: registry.cpp has the table and permissions, registry_edges.cpp the watches and edges,
// registry_timers.cpp the timers, registry_records.cpp the records in the state store.
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
#include "daemon/access/shared_pool.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/objects/cooldowns.h"
#include "daemon/objects/deadline_queue.h"
#include "daemon/objects/edge_watcher.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/interest.h"
#include "daemon/objects/object.h"
#include "daemon/objects/object_change.h"
#include "daemon/objects/owned_objects.h"
#include "daemon/objects/process_watcher.h"
#include "daemon/objects/session.h"
#include "daemon/objects/timer.h"
#include "daemon/objects/token_log.h"
#include "daemon/store/state_store.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {

// Proof that every change up to now was delivered. Each function that makes a change which could
// hide edges demands one.
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

    Object* find(const Name& name);
    const Object* find(const Name& name) const;
    Object* find(const ObjectRef& reference);
    // Returns the object. Refuses a name that does not exist, a missing permission, and an object
    // that has another id than the item.
    Outcome<Object*> find_authorized(const Peer& peer, const Item& item, Permission permission);
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
    // Sets events in two steps, all of them or none if one is refused: check_set() returns the
    // increments, add() makes them. A semaphore gets the item's `count` tokens, and a pulse is set
    // `count` times. In between, the caller may do nothing but record that they will be made.
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
    bool owns_objects(const Session& session) const { return owned_objects_.has_any(session.id); }
    // Polls the timers that delete_owned() deletes next.
    void poll_owned(std::uint64_t owner);
    // Deletes the objects that end with this session or process, or as many as one iteration of the
    // loop may delete. Returns whether there are more.
    bool delete_owned(std::uint64_t owner, const Delivered& delivered);
    // Ends the subscriptions of the session and its part in holds. delete_owned() deletes its
    // objects.
    void end(Session& session);
    // Ends the part of a process in holds. delete_owned() deletes its objects.
    void end(ProcessWatcher::Id process) { holds_.end(process); }
    // Returns an ended process that it has not returned yet; nothing if there is none.
    std::optional<ProcessWatcher::Id> take_ended_process();

    // Ends the subscriptions of the session's last call, whose reply the client never received.
    void undo_open(Session& session);
    TokenLog& tokens() { return tokens_; }
    Holds& holds() { return holds_; }
    ProcessWatcher& processes() { return processes_; }
    // The descriptors of events, subscriptions, wait-only handles and processes.
    SharedPool& descriptors() { return descriptors_; }
    const SharedPool& descriptors() const { return descriptors_; }
    // Returns an id that no object, session, subscription or process has or had, under this daemon
    // or an earlier one whose state store it has.
    std::uint64_t new_id() { return ids_.next(); }
    StateStore& state_store() { return state_store_; }

    // What an earlier daemon left.
    struct Inheritance {
        Objects objects = {};
        OwnedObjects owned = {};
        // Serials of timers that miss a change of the wall clock which cancels them.
        std::set<std::uint64_t> missed_clock_change = {};
        std::uint64_t last_id = 0;       // New ids follow this one.
        bool is_last_id_certain = false; // No later id was assigned.
    };
    // Takes over the objects, before anything else happens, and starts their timers. Returns a
    // sentence for each timer that cannot be started. The addresses of the objects stay the same.
    std::vector<std::string> adopt(Inheritance inheritance);

    // The changes since the last take_changes(), in the order in which they happened.
    bool has_changes() const { return !changes_.empty(); }
    std::vector<ObjectChange> take_changes();
    // Appends all pending edges to the changes.
    void collect_edges();
    // Returns the proof. The caller has collected the edges that its change could hide, and has
    // delivered all changes.
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
    friend class Interest;

    void report(ObjectChange change);
    void report(ObjectChange::Kind kind, const Entry& entry, std::int64_t times = 0);
    Outcome<Quota::Charge> charge(const Peer& peer, Resource resource);
    Outcome<SharedPool::Charge> charge_descriptor(const Peer& peer, Resource resource);
    // What a private descriptor costs its user: a subscription or a wait-only handle.
    struct PrivateDescriptorCharges {
        Quota::Charge quota;
        SharedPool::Charge descriptor;
    };
    Outcome<PrivateDescriptorCharges> charge_private_descriptor(const Peer& peer);
    Outcome<PrivateDescriptorCharges> charge_reclaiming_handles(Session& session);
    Outcome<std::optional<SharedPool::Charge>> take_place(const Peer& peer, Object& object);
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
    Outcome<Object::Body> make_body(const protocol::CreateEvent& request, const ObjectDraft& draft,
                                    std::optional<SharedPool::Charge> descriptor);
    Entry& add_object(Session& session, const Name& name, const ObjectDraft& draft,
                      Quota::Charge charge, Object::Body body,
                      std::optional<ProcessWatcher::Ref> process);
    Outcome<protocol::Opened> open_one(Session& session, const Item& item);
    Outcome<protocol::Opened> subscribe(Session& session, const Name& name, Object& object,
                                        Access access);
    Outcome<Object*> find_authorized(const Peer& peer, const Name& name, Permission permission,
                                     PolicyCheck policy_check = PolicyCheck::enforce);
    Outcome<Object*> find_event(const Peer& peer, const Item& item);
    Outcome<Timer*> find_authorized_timer(const Peer& peer, const Item& item);
    Outcome<std::optional<Timer::Target>>
    resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check);
    Outcome<void> rearm(Entry& entry, const TimerSpec& spec, std::optional<Timer::Target> target,
                        const Delivered& delivered);
    Result<void> apply_logged(const Increments& increments);

    // Functions that write and erase records in the state store.
    void adopt_timer(Entry& entry, bool missed_clock_change, std::vector<std::string>& warnings);
    void persist(const Entry& entry);
    void persist_counters(const Object& object);
    void unpersist(const Object& object);
    void unpersist(const Subscription& subscription);
    void remove_subscription(const Session::SubscriptionRef& subscription_ref, Object& object);
    bool is_stale(const Session::SubscriptionRef& subscription) const;
    void end_subscription(const Session::SubscriptionRef& subscription);
    Outcome<void> check_ticks(const Peer& peer, const Name& name, const Schedule& schedule);
    void charge_ticks(Object& object);
    void erase(Objects::iterator object, const Delivered& delivered);
    std::vector<Name> next_owned(std::uint64_t owner) const;
    void end_interest(const ObjectRef& reference);
    Result<void> watch_object(Entry& entry, EdgeMask edges);
    Result<void> watch_event(Entry& entry, const Event& event, EdgeMask edges);
    Result<void> watch_shared(Entry& entry, const Event& event);
    Result<std::shared_ptr<const UniqueFd>> share(Entry& entry, Event& event);
    Outcome<std::shared_ptr<const UniqueFd>> share_wait_only(Session& session, Object& object,
                                                             const Event& event);
    void signal_locally(const Increments& increments);
    void report_pulses(const std::vector<Pulsed>& pulsed);
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
    SharedPool descriptors_;
    Cooldowns cooldowns_; // Pauses users whose timers took long to set their events.
    IdSequence ids_;
    TokenLog tokens_;
    std::vector<ObjectChange> changes_;
    std::vector<ProcessWatcher::Id> ended_processes_;
    ProcessWatcher processes_;
    Holds holds_;
    OwnedObjects owned_objects_; // By Object::lifetime_owner.
    EdgeWatcher edges_;          // Declared before objects_: the watches of events are in it.
    DeadlineQueue deadlines_;    // Declared before objects_: timers keep their deadlines in it.
    Objects objects_;
    EventLoop& loop_;
};

} // namespace evfd::daemon
