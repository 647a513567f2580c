// The waits for objects by name, in the order of arrival.
//
// A wait has one part for each of its items. Until the wait completes, it is in the queue of each
// of its names. When the object of a name changes, the queue counts the change once (`sets`,
// `times`), however many waits are in the queue. A wait reads the counts of its queues when it is
// tried. Only the waits that are blocked on the changed name are tried. A wait that requires any of
// its items is blocked on all of its names. A wait that requires all of its items is blocked on one
// name, the name that was found unsatisfied last, because the wait cannot complete before the
// object of this name is set.
//
// Waits complete strictly in the order of arrival. complete_after_edges() therefore merges the
// blocked waits of all changed queues with a heap, by position, and tries each with try_complete().
// A wait consumes tokens only at its very end: auto events and semaphores are checked first, and if
// all are available, one token of each is taken. If another process takes one of these tokens
// first, the wait returns the tokens that it has taken already.
//
// The state of an eventfd is read once in each epoch, however many waits ask for it, and again only
// after a token was taken. An epoch begins when changes are delivered, or when a new wait is
// checked again.
//
// Invariants:
// - Pending edges are delivered before a new wait looks at its objects, so that earlier waits come
//   first. If the objects of a wait have to be watched, check_started() looks at them again, after
//   the edges from before the watch have been delivered.
// - A queue with waits for an existing object has an Interest in that object.
// - Between the deletion of an object and on_deleted(), no function is called that looks at the
//   object.
// - A completed wait has left all queues. Its outcome does not change any more.
// - A queue exists while a wait is in it or a QueueRef refers to it.
//
// Waits do not know connections: a waiter is woken by a callback and then asks for the outcome.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/registry.h"
#include "daemon/waiting/monitors.h"
#include "daemon/waiting/wait.h"
#include "daemon/waiting/wait_queue.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Waits {
public:
    // Called by the loop when the timeout of a wait has expired. The function delivers the changes
    // that came in time, and then calls time_out().
    using OnTimeout = std::function<void(Wait&)>;

    Waits(EventLoop& loop, Registry& registry, Monitors& monitors, OnTimeout on_timeout)
        : loop_{loop}, registry_{registry}, monitors_{monitors}, on_timeout_{std::move(on_timeout)}
    {
    }
    Waits(const Waits&) = delete;

    // Starts a wait. The wait is done at once if its objects satisfy it already. If they do not,
    // `wake` is called when the wait is done, at most once. `call` identifies the call in the
    // records of the state store. `hold_request` is present if the request asks for a hold.
    Outcome<std::unique_ptr<Wait>> start(const Peer& peer, Quota::Charge charge,
                                         const protocol::Wait& request, Wait::Wake wake,
                                         const Delivered& delivered, CallId call = {},
                                         std::optional<HoldRequest> hold_request = {});
    // Returns whether pending edges must be delivered before this wait starts. There are two
    // reasons: earlier waits for the same objects come first, and an edge that is older than this
    // wait must not satisfy this wait.
    bool needs_edges_first(const protocol::Wait& request) const;
    // Returns a refusal if the peer is not allowed to make this request.
    Outcome<void> check(const Peer& peer, const protocol::Wait& request) const;
    // Checks again whether the waits that were started since the last call of check_started() are
    // satisfied.
    void check_started();
    // Ends the wait with the error TimedOut, unless the wait is done.
    void time_out(Wait& wait);

    std::int64_t waiter_count(const Name& name) const;
    // Returns whether a wait for this name can exist.
    bool has_queue(const Name& name) const { return queues_.contains(name); }

    // Polls the timers that this wait waits for.
    void poll_timers(const Wait& wait) const;
    // Polls all timers of each wait that waits for this name. A wait can be for several names, so
    // the polled timers can have other names.
    void poll_timers(const Name& name);
    // Polls every timer that any wait waits for.
    void poll_timers() const;

    // Delivery calls the functions below when an object has changed. The exception is
    // on_policy_changed(), which Service calls after the policy has changed.
    void on_created(const Name& name, Object& object);
    void on_edge(const Name& name, Object& object);
    // Completes the waits that the preceding calls of on_edge() have satisfied. Returns whether a
    // wait completed.
    bool complete_after_edges();
    // Called when a pulse was set or a timer has expired. `times` is the number of pulses or
    // expirations.
    void on_counted(const Name& name, std::int64_t times);
    void on_cancelled(const Name& name);
    void on_deleted(const Name& name);
    // Ends the waits that the new policy does not permit any more.
    void on_policy_changed();
    // Called when the permissions of an object have changed. Ends the waits for the object that are
    // no longer permitted.
    void on_permissions_changed(const Name& name);

private:
    friend class Wait;
    using Queues = std::map<Name, WaitQueue>;

    // Keeps a queue in the table as long as this reference exists, even if no wait is in the queue.
    class QueueRef {
    public:
        QueueRef(Queues& queues, Queues::iterator queue);
        WaitQueue& queue() const { return queues_.get_deleter().queue->second; }

    private:
        struct Release {
            Queues::iterator queue;
            void operator()(Queues* queues) const;
        };
        std::unique_ptr<Queues, Release> queues_; // The deleter only ends the reference.
    };
    std::optional<QueueRef> ref(const Name& name); // Returns nothing if the name has no queue.

    void enqueue(Wait& wait);
    void dequeue(Wait& wait);
    void block_on(Wait& wait, std::size_t part);
    void finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome);
    void end(Wait& wait); // Ends the wait, whose outcome must be known already.
    void record_taken(Wait& wait);

    // The properties of a wait that decide which permissions it requires.
    struct WaitOptions {
        std::int64_t count;
        bool is_hold;
    };
    // Returns a refusal if the peer is not allowed to begin or continue a wait with these options.
    // `object` is null if no object has this name yet.
    Outcome<void> authorize(const Peer& peer, const Name& name, const Object* object,
                            WaitOptions options) const;
    // Returns a refusal if the peer is no longer allowed to continue this wait.
    Outcome<void> authorize(const Wait& wait, const Name& name, const Object* object) const;
    void end_all(WaitQueue& queue, const Refusal& refusal);
    void end_unauthorized(const Name& name, WaitQueue& queue);
    Result<void> watch(WaitQueue& queue, const Name& name, Object& object);
    void recheck(Wait& wait);
    // Counts one expiration for each item of the wait whose timer expires only once and has
    // expired. Skips an item that has counted an expiration already.
    void count_expired(Wait& wait) const;
    // Finds the items of the wait whose manual event is set, and marks these items as satisfied.
    void note_set_events(Wait& wait) const;
    // Tries to complete the waits that are blocked on the name of this queue, in the order of
    // arrival.
    void try_blocked(WaitQueue& queue);

    // Returns whether the event is set. Reads the event only once in each epoch (see the head of
    // this file), and again after a token was taken.
    bool is_set(WaitQueue& queue) const;
    bool may_be_set(const WaitQueue& queue) const;
    Object* find_object(const Wait::Part& part) const;
    // Returns whether the event has a token that this wait can take. Returns false if an earlier
    // wait must be served first.
    bool can_be_taken(const Wait& wait, const Wait::Part& part) const;
    bool is_behind_others(const Wait& wait, const Wait::Part& part) const;
    // Returns whether the object of this item can have a token: the object is an auto event or a
    // semaphore, and no read in this epoch (see the head of this file) has shown that it is clear.
    bool may_be_taken(const Wait::Part& part) const;

    // Completes the wait if it is satisfied, and takes the tokens that it needs, all or none.
    // Returns whether the wait is done.
    bool try_complete(Wait& wait);
    static protocol::Fired fired(const Wait& wait, const Wait::Part& part);
    bool try_complete_any(Wait& wait);
    bool try_complete_all(Wait& wait);
    bool take_all(Wait& wait);
    Result<bool> take(Wait& wait, const Wait::Part& part);
    void return_tokens(Wait& wait);

    EventLoop& loop_;
    Registry& registry_;
    Monitors& monitors_;
    OnTimeout on_timeout_;
    std::uint64_t last_position_ = 0;
    std::uint64_t epoch_ = 1;
    // The queues by name. A name can have a queue before an object of this name exists.
    Queues queues_;
    // The queues whose objects had edges since the last complete_after_edges().
    std::vector<QueueRef> edge_queues_;
    std::vector<Wait*> started_; // The new waits that check_started() will check again.
};

} // namespace evfd::daemon
