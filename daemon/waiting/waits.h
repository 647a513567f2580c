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
class Link {
public:
    explicit Link(Wait* wait = nullptr) : wait_{wait} {}
    Link(Link&& other) noexcept : wait_{other.wait_} {} // Of one that stands nowhere.
    Link& operator=(Link&&) = delete;
    ~Link() { leave(); }

    void stand_before(Link& other);
    void stand_behind(Link& other) { stand_before(*other.next_); }
    void leave();
    // Goes behind the next one that has a wait; null at the end of the ring.
    Wait* pass_next(const Link& ring);

private:
    Wait* wait_;
    Link* previous_ = this;
    Link* next_ = this;
};

// Those who wait for one name.
struct Queue {
    Link ring{}; // In the order in which they came.
    std::int64_t length = 0;
    std::map<std::uint64_t, Wait*> hanging{}; // By place, those to be looked at when there is news.
    Object* object = nullptr;                 // Null while there is none of that name.
    std::int64_t sets = 0;                    // Of a manual event, since the first of them came.
    std::int64_t times = 0;                   // Pulses or expirations, likewise.
    std::uint64_t news_in = 0;                // In which round there was news of it.
    std::uint64_t looked_in = 0;              // And in which this was seen of an event.
    bool was_set = false;
    int holds = 0; // By those who need it to be there even if nobody waits any more.
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
    void undo();
    void settle(Session& session); // Or it did: what it is to hold is the session's.

private:
    friend class Waits;

    // One of the names: whether it was released, and by how many pulses or expirations. What takes
    // (auto, semaphore) is taken at the very end; until then nothing is kept of it.
    struct Part {
        Name name;
        Link link;
        std::int64_t count = 0;
        bool is_released = false;
        Queue* queue = nullptr; // While the wait is in it.
        std::int64_t sets = 0;  // Of the queue's, those that the above knows of.
        std::int64_t times = 0;
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call, std::optional<Lending> lending);

    bool is_over() const { return is_complete_ || outcome_.has_value(); }
    void count(Part& part, std::int64_t times) const;
    void catch_up(Part& part) const; // With what its queue knows.
    bool hangs_on(const Part& part) const;

    Waits& waits_;
    Peer peer_;
    Quota::Charge charge_;
    Gather gather_;
    std::int64_t wanted_;            // Pulses or expirations.
    std::optional<Lending> lending_; // If it holds what it takes.
    std::vector<Part> parts_;
    std::uint64_t session_;
    Takings takings_;
    Wake wake_;
    std::uint64_t place_ = 0; // In every queue; 0 while in none.
    // Who waits for all hangs on one part, the last that was looked at and found not released:
    // while that is so, it is not over, whatever becomes of the others.
    std::size_t hangs_on_ = 0;
    bool is_complete_ = false; // Its outcome is all its parts, as soon as that is asked for.
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Alarm> alarm_;
};

class Waits {
public:
    using Attended = std::function<void(const Name&)>; // More wait for it than before, or fewer.

    Waits(EventLoop& loop, Registry& registry, Attended attended)
        : loop_{loop}, registry_{registry}, attended_{std::move(attended)}
    {
    }
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

    // It may be over already. `wake` is called when it is over later, at most once. `call`: which
    // one it is, for what outlives the daemon. `lending`: what a request to hold needs.
    Outcome<std::unique_ptr<Wait>> start(const Peer& peer, Quota::Charge charge,
                                         const protocol::Wait& request, Wait::Wake wake,
                                         CallId call = {}, std::optional<Lending> lending = {});

    std::int64_t waiting_for(const Name& name) const;

    // News from the registry.
    void created(const Name& name, Object& object);
    void rang(const Name& name, Object& object);
    bool heard(); // Whether a wait is over now that was not before.
    void counted(const Name& name, std::int64_t times); // It was pulsed, or it expired.
    void cancelled(const Name& name);
    void deleted(const Name& name);
    // A wait that is not permitted any more ends.
    void policy_changed();
    void rights_changed(const Name& name);

private:
    friend class Wait;
    using Queues = std::map<Name, Queue>;

    // Keeps a queue while it lives.
    class Hold {
    public:
        Hold(Queues& queues, Queues::iterator queue);
        Hold(Hold&& other) noexcept;
        Hold& operator=(Hold&&) = delete;
        ~Hold();
        Queue& queue() const { return queue_->second; }

    private:
        Queues* queues_;
        Queues::iterator queue_;
    };
    std::optional<Hold> hold(const Name& name); // Nothing if nobody waits for it.

    void enlist(Wait& wait);
    void withdraw(Wait& wait);
    void hang_on(Wait& wait, std::size_t part);
    void finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome);
    void end(Wait& wait); // Its outcome is there.
    void keep_taken(Wait& wait);

    Outcome<void> check(const Peer& peer, const protocol::Wait& request) const;
    // How one waits.
    struct Manner {
        std::int64_t wanted;
        bool holds;
    };
    // Whether one may go on waiting so; a null object is one that is not there yet.
    Outcome<void> permit(const Peer& peer, const Name& name, const Object* object,
                         Manner manner) const;
    void end_all(Queue& queue, const Refusal& refusal);
    void end_unpermitted(const Name& name, Queue& queue);
    bool must_hear_first(const Wait& wait) const;
    void hear(const Wait& wait);
    bool look_again(Wait& wait); // Whether it is over now.
    // A timer that has expired for good is waited for no longer.
    void count_expired(Wait& wait) const;
    // Nor a manual event that is set.
    void note_set(Wait& wait) const;
    // Those who hang on it, in the order of arrival.
    void serve(Queue& queue);

    // What is seen of an event in one round is seen once, unless we take from it.
    bool is_set(Queue& queue) const;
    bool may_have_something(const Queue& queue) const;
    Object* object_of(const Wait::Part& part) const;
    // Whether it is to be seen in the descriptor that the part can be had; or not that it cannot.
    bool can_be_taken(const Wait::Part& part) const;
    bool may_be_taken(const Wait::Part& part) const;

    // Whether the wait is over now; each takes what it needs for that.
    bool attempt(Wait& wait);
    static protocol::Fired fired(const Wait::Part& part);
    bool attempt_any(Wait& wait);
    bool attempt_all(Wait& wait);
    bool take_all(Wait& wait);
    Result<bool> take(Wait& wait, const Wait::Part& part);
    void put_back(Wait& wait);

    EventLoop& loop_;
    Registry& registry_;
    Attended attended_;
    std::uint64_t last_place_ = 0;
    std::uint64_t round_ = 1;
    Queues queues_;          // Also of names that are not there yet.
    std::vector<Hold> rung_; // Since heard().
};

} // namespace evfd::daemon
