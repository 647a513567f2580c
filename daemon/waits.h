// Everyone who waits for objects by name, in the order in which they came. It knows no socket: who
// waits is woken by a callback and then asks for the outcome.
#pragma once

#include "common/name.h"
#include "common/protocol.h"
#include "daemon/event_loop.h"
#include "daemon/registry.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace evfd::daemon {

class Waits;

// One Wait call, until it is over or nobody wants it any more.
class Wait {
public:
    using Wake = std::function<void()>; // Must not end the wait there and then.

    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    // Nothing before it is over.
    std::optional<Outcome<protocol::Wait::Reply>>& outcome() { return outcome_; }
    // Its outcome does not reach whoever waited: what was taken is put back, for others.
    void undo();
    void settle(); // Or it did.

private:
    friend class Waits;

    // One of the names: whether it was released, and by how many pulses or expirations. What takes
    // (auto, semaphore) is taken at the very end; until then nothing is kept of it.
    struct Part {
        Name name;
        std::int64_t count = 0;
        bool is_released = false;
    };

    Wait(Waits& waits, Peer peer, Quota::Charge charge, const protocol::Wait& request, Wake wake,
         CallId call);

    bool waits_for(const Name& name) const;
    bool is_over() const { return outcome_.has_value(); }
    Part& part(const Name& name);
    void count(Part& part, std::int64_t times) const;

    Waits& waits_;
    Peer peer_;
    Quota::Charge charge_;
    Gather gather_;
    std::int64_t wanted_; // Pulses or expirations.
    std::vector<Part> parts_;
    std::uint64_t session_;
    Takings takings_;
    Wake wake_;
    std::uint64_t place_ = 0; // In every queue; 0 while in none.
    std::optional<Outcome<protocol::Wait::Reply>> outcome_;
    std::optional<EventLoop::Alarm> alarm_;
};

class Waits {
public:
    Waits(EventLoop& loop, Registry& registry) : loop_{loop}, registry_{registry} {}
    Waits(const Waits&) = delete;
    Waits& operator=(const Waits&) = delete;

    // It may be over already. `wake` is called when it is over later, at most once. `call`: which
    // one it is, for what outlives the daemon.
    Outcome<std::unique_ptr<Wait>> start(const Peer& peer, Quota::Charge charge,
                                         const protocol::Wait& request, Wait::Wake wake,
                                         CallId call = {});

    std::int64_t waiting_for(const Name& name) const;

    // News from the registry.
    void created(const Name& name, Object& object);
    void rang(const Name& name, Object& object);
    bool heard(); // Whether a wait is over now that was not before.
    void counted(const Name& name, std::int64_t times); // It was pulsed, or it expired.
    void cancelled(const Name& name);
    void deleted(const Name& name);
    void policy_changed(); // Who may not wait any more waits no longer.

private:
    friend class Wait;
    using Queue = std::map<std::uint64_t, Wait*>;

    bool has_something(const Name& name) const;
    Wait* first_rung();
    void enlist(Wait& wait);
    void withdraw(Wait& wait);
    void finish(Wait& wait, Outcome<protocol::Wait::Reply> outcome);

    // The one behind that place; null if there is none.
    Wait* next_in(const Name& name, std::uint64_t place);
    // Calls `each(wait)` for all in the queue, in order, until one returns false. A wait may be
    // over and leave the queue meanwhile.
    template <class Each>
    void for_each(const Name& name, Each each);

    Outcome<void> check(const Peer& peer, const protocol::Wait& request) const;
    void end_all(const Name& name, const Refusal& refusal);
    void hear(const Wait& wait);
    // A timer that has expired for good is waited for no longer.
    void count_expired(Wait& wait) const;

    // Whether the wait is over now; each takes what it needs for that.
    bool attempt(Wait& wait);
    static protocol::Fired fired(const Wait::Part& part);
    bool attempt_any(Wait& wait, Wait::Part& part);
    bool attempt_all(Wait& wait);
    bool take_all(Wait& wait, const std::vector<Wait::Part*>& parts);
    Result<bool> take(Wait& wait, const Wait::Part& part, Object& object);
    void put_back(Wait& wait);

    EventLoop& loop_;
    Registry& registry_;
    std::uint64_t last_place_ = 0;
    std::map<Name, Queue> queues_; // Also of names that are not there yet.
    struct Ring {
        Name name;
        std::uint64_t place; // Up to which the queue was served.
    };
    std::vector<Ring> rung_; // Since heard().
};

} // namespace evfd::daemon
