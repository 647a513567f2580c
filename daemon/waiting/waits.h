// Everyone who waits for objects by name, in the order in which they came. It knows no socket: who
// waits is woken by a callback and then asks for the outcome. What happens to a name is noted once,
// however many wait for it, and only those are looked at that hang on that name.
#pragma once

#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/base/event_loop.h"
#include "daemon/objects/holds.h"
#include "daemon/objects/registry.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Wait;
class Waits;

// A place in a ring of waits; one without a wait is the ring's own, or marks how far somebody has
// got.
class ListNode {
public:
    explicit ListNode(Wait* wait = nullptr) : wait_{wait} {}
    ListNode(ListNode&& other) noexcept : wait_{other.wait_} {} // Of one that stands nowhere.
    ListNode& operator=(ListNode&&) = delete;
    ~ListNode() { unlink(); }

    void insert_before(ListNode& other);
    void insert_after(ListNode& other) { insert_before(*other.next_); }
    void unlink();
    // Goes behind the next one that has a wait; null at the end of the ring.
    Wait* advance(const ListNode& list);

private:
    Wait* wait_;
    ListNode* previous_ = this;
    ListNode* next_ = this;
};

// Those who wait for one name.
struct WaitQueue {
    ListNode list{}; // In the order in which they came.
    std::int64_t length = 0;
    std::map<std::uint64_t, Wait*> blocked{}; // By place, those to be looked at when there is news.
    Object* object = nullptr;                 // Null while there is none of that name.
    std::int64_t sets = 0;                    // Of a manual event, since the first of them came.
    std::int64_t times = 0;                   // Pulses or expirations, likewise.
    std::uint64_t changed_in = 0;             // In which round there was news of it.
    std::uint64_t checked_in = 0;             // And in which this was seen of an event.
    bool cached_is_set = false;
    int refs = 0; // By those who need it to be there even if nobody waits any more.
};

// One Wait call, until it is over or nobody wants it any more.
class Wait {
public:
    using Wake = std::function<void()>; // Must not end the wait there and then.

    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // Nothing before it is over.
    std::optional<Outcome<protocol::Wait::Reply>>& outcome();
    // Its outcome does not reach whoever waited: what was taken is put back, for others.
    void return_tokens();
    void confirm_taken(Session& session); // Or it did: what it is to hold is the session's.

private:
    friend class Waits;

    // One of the names: whether it was released, and by how many pulses or expirations. What takes
    // (auto, semaphore) is taken at the very end; until then nothing is kept of it.
    struct Part {
        Name name;
        ListNode node;
        std::int64_t count = 0;
        bool is_satisfied = false;
        WaitQueue* queue = nullptr; // While the wait is in it.
        std::int64_t sets = 0;      // Of the queue's, those that the above knows of.
        std::int64_t times = 0;
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call, std::optional<HoldRequest> hold_request);

    bool is_done() const { return is_complete_ || outcome_.has_value(); }
    void count(Part& part, std::int64_t times) const;
    void catch_up(Part& part) const; // With what its queue knows.
    bool is_blocked_on(const Part& part) const;

    Waits& waits_;
    Peer peer_;
    Quota::Charge charge_;
    Require require_;
    std::int64_t required_count_;             // Pulses or expirations.
    std::optional<HoldRequest> hold_request_; // If it holds what it takes.
    std::vector<Part> parts_;
    std::uint64_t session_;
    TakenTokens taken_;
    Wake wake_;
    std::uint64_t position_ = 0; // In every queue; 0 while in none.
    // Who waits for all hangs on one part, the last that was looked at and found not released:
    // while that is so, it is not over, whatever becomes of the others.
    std::size_t blocked_on_ = 0;
    bool is_complete_ = false; // Its outcome is all its parts, as soon as that is asked for.
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Timeout> timeout_;
};

class Waits {
public:
    using OnInterestChanged =
        std::function<void(const Name&)>; // More wait for it than before, or fewer.

    Waits(EventLoop& loop, Registry& registry, OnInterestChanged on_interest_changed)
        : loop_{loop}, registry_{registry}, on_interest_changed_{std::move(on_interest_changed)}
    {
    }
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

    // It may be over already. `wake` is called when it is over later, at most once. `call`: which
    // one it is, for what outlives the daemon. `lending`: what a request to hold needs.
    Outcome<std::unique_ptr<Wait>> start(const Peer& peer, Quota::Charge charge,
                                         const protocol::Wait& request, Wait::Wake wake,
                                         CallId call = {},
                                         std::optional<HoldRequest> hold_request = {});

    std::int64_t waiter_count(const Name& name) const;

    // News from the registry.
    void on_created(const Name& name, Object& object);
    void on_edge(const Name& name, Object& object);
    bool on_edges_delivered(); // Whether a wait is over now that was not before.
    void on_counted(const Name& name, std::int64_t times); // It was pulsed, or it expired.
    void on_cancelled(const Name& name);
    void on_deleted(const Name& name);
    // A wait that is not permitted any more ends.
    void on_policy_changed();
    void on_permissions_changed(const Name& name);

private:
    friend class Wait;
    using Queues = std::map<Name, WaitQueue>;

    // Keeps a queue while it lives.
    class QueueRef {
    public:
        QueueRef(Queues& queues, Queues::iterator queue);
        QueueRef(QueueRef&& other) noexcept;
        QueueRef& operator=(QueueRef&&) = delete;
        ~QueueRef();
        WaitQueue& queue() const { return queue_->second; }

    private:
        Queues* queues_;
        Queues::iterator queue_;
    };
    std::optional<QueueRef> ref(const Name& name); // Nothing if nobody waits for it.

    void enqueue(Wait& wait);
    void dequeue(Wait& wait);
    void block_on(Wait& wait, std::size_t part);
    void finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome);
    void end(Wait& wait); // Its outcome is there.
    void record_taken(Wait& wait);

    Outcome<void> check(const Peer& peer, const protocol::Wait& request) const;
    // How one waits.
    struct WaitOptions {
        std::int64_t count;
        bool is_hold;
    };
    // Whether one may go on waiting so; a null object is one that is not there yet.
    Outcome<void> authorize(const Peer& peer, const Name& name, const Object* object,
                            WaitOptions options) const;
    void end_all(WaitQueue& queue, const Refusal& refusal);
    void end_unauthorized(const Name& name, WaitQueue& queue);
    bool needs_delivery_first(const Wait& wait) const;
    void deliver_edges(const Wait& wait);
    bool recheck(Wait& wait); // Whether it is over now.
    // A timer that has expired for good is waited for no longer.
    void count_expired(Wait& wait) const;
    // Nor a manual event that is set.
    void note_set_events(Wait& wait) const;
    // Those who hang on it, in the order of arrival.
    void try_blocked(WaitQueue& queue);

    // What is seen of an event in one round is seen once, unless we take from it.
    bool is_set(WaitQueue& queue) const;
    bool may_be_set(const WaitQueue& queue) const;
    Object* find_object(const Wait::Part& part) const;
    // Whether it is to be seen in the descriptor that the part can be had; or not that it cannot.
    bool can_be_taken(const Wait::Part& part) const;
    bool may_be_taken(const Wait::Part& part) const;

    // Whether the wait is over now; each takes what it needs for that.
    bool try_complete(Wait& wait);
    static protocol::Fired fired(const Wait::Part& part);
    bool try_complete_any(Wait& wait);
    bool try_complete_all(Wait& wait);
    bool take_all(Wait& wait);
    Result<bool> take(Wait& wait, const Wait::Part& part);
    void return_tokens(Wait& wait);

    EventLoop& loop_;
    Registry& registry_;
    OnInterestChanged on_interest_changed_;
    std::uint64_t last_position_ = 0;
    std::uint64_t epoch_ = 1;
    Queues queues_;                     // Also of names that are not there yet.
    std::vector<QueueRef> edge_queues_; // Since heard().
};

} // namespace evfd::daemon
