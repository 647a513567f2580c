// The registry: all named events and timers.
//
// An event is an eventfd, and the eventfd is the only truth about its state: the registry keeps no
// flag that says "set". Clients hold duplicates of the same eventfd and may write and read it at
// any time, without the daemon. The registry creates, opens, sets, clears and deletes objects,
// checks permissions for each of these, and observes what clients do to the events that somebody
// waits for or monitors.
//
// Observation works by edges. A watched eventfd is in edge_epoll_, an epoll set of its own, in
// edge-triggered mode; each write produces an edge, and nothing needs to be read. deliver_edges()
// takes all pending edges and reports them to the RegistryObserver: first on_edge() for each event,
// then on_edges_delivered() once. The main loop watches edge_epoll_ as a whole, at a bounded rate
// (min_edge_interval), because a busy writer must not keep the daemon busy. An event needs no watch
// for this while no client has its eventfd: only the daemon can set it, so signal_locally() reports
// its edges. An object is watched only while the observer wants to know about it (is_observed()).
//
// Tokens are added, taken and returned through the TokenLog, so that no crash loses one.
//
// Files: registry.cpp has the table and permissions, registry_edges.cpp the observation,
// registry_timers.cpp the timers, registry_records.cpp the records in the state store.
//
// Invariants:
// - Pending edges are delivered before any change that could hide them: a delete, clear, disarm
//   or re-arm. A waiter gets what was set before the change. These functions demand a Delivered.
// - Everything that can be refused is checked before the first change.
// - An object that is persistent is recorded in the same function that changes it, and nothing
//   is sent to a client before that record is committed.
// - deliver_edges() does not recurse: observers may call functions that call it again.
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
#include "daemon/objects/holds.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object.h"
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

// Receives what happens to the objects of the registry.
class RegistryObserver {
public:
    virtual void on_created(const Name& name, Object& object) = 0;
    // A client or the daemon wrote or read a watched event. A manual event that was clear at the
    // last edge, or when its watch began, has been set since.
    virtual void on_edge(const Name& name, Object& object) = 0;
    // Called after a batch of on_edge() calls. Returns whether any wait completed.
    virtual bool on_edges_delivered() = 0;
    virtual void on_pulsed(const Name& name, Object& object, std::int64_t times) = 0;
    // A counting timer expired.
    virtual void on_expired(const Name& name, Object& object, std::int64_t times) = 0;
    // The timer was armed again or disarmed.
    virtual void on_rearmed(const Name& name, Object& object) = 0;
    // The timer was cancelled because the wall clock was set.
    virtual void on_cancelled(const Name& name, Object& object) = 0;
    // `before` is the ownership before the permissions changed.
    virtual void on_permissions_changed(const Name& name, Object& object,
                                        const Ownership& before) = 0;
    // `before` is the ownership of the object, which no longer exists.
    virtual void on_deleted(const Name& name, const Ownership& before) = 0;
    // The object has one subscriber or waiter more, or one fewer.
    virtual void on_interest_changed(const Name& name) = 0;
    // Returns whether on_edge() or on_expired() is wanted for this object.
    virtual bool is_observed(const Name& name) const = 0;

protected:
    ~RegistryObserver() = default;
};

// Proof that the edges up to now were delivered. Only Registry::deliver_edges() makes one, and each
// function demands one that makes a change which could hide edges.
class Delivered {
public:
    bool has_completed_wait() const { return has_completed_wait_; }

private:
    friend class Registry;
    explicit Delivered(bool has_completed_wait) : has_completed_wait_{has_completed_wait} {}
    bool has_completed_wait_;
};

using protocol::Item;

// How a call that creates an object ended.
enum class Made : std::uint8_t { created, existed };

class Registry {
public:
    // `descriptor_budget` limits the descriptors of objects, subscriptions and processes together.
    Registry(EventLoop& loop, Quota& quota, RegistryObserver& observer, StateStore& state_store,
             EventfdIncrementer incrementer, std::int64_t descriptor_budget);
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
    Objects& objects() { return objects_; }

    // Creates the event. It may have existed only with `if_missing`. `process`: the process whose
    // end deletes it, for a lifetime of `process`. `id`: an id from new_id() for the new event, if
    // the caller knows it already.
    Outcome<Made> create(Session& session, const protocol::CreateEvent& request,
                         PolicyCheck policy_check = PolicyCheck::enforce,
                         std::optional<ProcessWatcher::Ref> process = {},
                         std::optional<std::uint64_t> id = {});
    // Creates the timer, or arms one that existed again. `process` and `id`: as for create().
    Outcome<Made> arm(Session& session, const protocol::Arm& request,
                      PolicyCheck policy_check = PolicyCheck::enforce,
                      std::optional<ProcessWatcher::Ref> process = {},
                      std::optional<std::uint64_t> id = {});
    // Disarms all of the timers, or none if one is refused.
    Outcome<void> disarm(const Peer& peer, const Items<Item>& items);
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
    Outcome<Increments> check_set(const Peer& peer, const Items<protocol::SetItem>& items);
    // The same for a Set that an earlier daemon began, which cannot be refused any more. An
    // increment has no object (null) if the peer may not set the event now, or if that daemon did
    // not have it.
    Increments recheck_set(const Peer& peer, const Items<protocol::SetItem>& items);
    Outcome<void> add(const Peer& peer, const Increments& increments);
    // Clears all of the events, or none if one is refused. Pulses have nothing to clear.
    Outcome<void> clear(const Peer& peer, const Items<Item>& items);
    // clear() in two steps: check_clear() returns the events, clear() clears as many as
    // fit into `slice` and returns whether it is finished. It takes at least one token.
    struct ClearProgress {
        std::vector<ObjectRef> objects;
        std::size_t cleared = 0; // The number of objects that are done.
        // Tokens left in the next object, once known: see drain().
        std::optional<std::uint64_t> remaining{};
    };
    Outcome<ClearProgress> check_clear(const Peer& peer, const Items<Item>& items);
    Outcome<bool> clear(ClearProgress& progress, const TimeSlice& slice);
    // Deletes all of the objects, or none if one is refused. Waits for them end.
    Outcome<void> delete_objects(const Peer& peer, const Items<Item>& items);
    Outcome<void> set_permissions(const Peer& peer, const Name& name, Permissions permissions);
    // Returns whether there are objects that end with the session.
    bool owns_objects(const Session& session) const { return owned_objects_.has_any(session.id); }
    // Ends the session: its subscriptions, the objects that end with it, and its part in holds.
    void end(Session& session);

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

    // From now on the observer is called when the event is written or read, or when the timer
    // expires; earlier edges are not reported. With `readable`, an event that is set already is
    // reported too, but not one that is cleared before the delivery. EMFILE, ENOMEM, ENOSPC:
    // epoll_ctl(2).
    Result<void> watch(const Name& name, Object& object, EdgeMask edges);
    static bool is_watched(const Object& object, EdgeMask edges = EdgeMask::readable);
    // Logs the misuse, once for each object.
    void warn_once(const Name& name, Object& object, Misuse misuse);
    // Stops watching, unless the observer still wants to know about the object.
    void unwatch_if_unobserved(const Name& name);
    // Reports all pending edges to the observer now.
    Delivered deliver_edges();
    // Reports how often a watched timer expired since the last poll.
    void poll_timer(const Name& name);
    // Returns whether the event that a timer sets was deleted; or whether the timer's armer has
    // lost the permission to set it.
    bool is_target_gone(const Timer::Target& target) const;
    bool is_target_denied(const Timer::Target& target) const;

private:
    using Entry = Objects::value_type;

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
    // The same, but refuses the call if the item has an id and the object has another one.
    Outcome<Object*> find_authorized(const Peer& peer, const Item& item, Permission permission);
    Outcome<Object*> find_event(const Peer& peer, const Item& item);
    Outcome<Timer*> find_authorized_timer(const Peer& peer, const Item& item);
    Outcome<std::optional<Timer::Target>>
    resolve_target(const Peer& peer, const protocol::Arm& request, PolicyCheck policy_check);
    Outcome<void> rearm(Entry& entry, const TimerSpec& spec, std::optional<Timer::Target> target,
                        const Delivered& delivered);
    Outcome<void> disarm(const Items<Item>& items, const Delivered& delivered);
    Outcome<bool> clear(ClearProgress& progress, const TimeSlice& slice,
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
    void remove(Objects::iterator object);
    void delete_owned(std::uint64_t owner);
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
    log::Limited log_;
    StateStore& state_store_;
    SharedPool descriptors_;
    Cooldowns cooldowns_; // Pauses users whose timers took long to set their events.
    IdSequence ids_;
    TokenLog tokens_;
    ProcessWatcher processes_;
    Holds holds_;
    OwnedObjects owned_objects_; // By Object::lifetime_owner.
    bool is_delivering_ = false;
    // Events that the daemon has set since the last delivery.
    std::vector<Entry*> signalled_locally_;
    EventLoop edge_epoll_;    // Watches events alone, so that edges can be delivered at any time.
    DeadlineQueue deadlines_; // Declared before objects_: timers keep their deadlines in it.
    Objects objects_;
    std::optional<EventLoop::Watch> edge_watch_; // Watches edge_epoll_ while edges are enabled.
    EventLoop& loop_;
    MonotonicTime last_delivery_{};
    // Enables edges again; empty while they are enabled.
    std::optional<EventLoop::Timeout> edge_throttle_;
};

} // namespace evfd::daemon
