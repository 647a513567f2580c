// A named object: an event, a pulse or a timer, with its owner, its permissions and its lifetime.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/policy.h"
#include "daemon/access/quota.h"
#include "daemon/objects/edge_watch.h"
#include "daemon/objects/event.h"
#include "daemon/objects/object_ref.h"
#include "daemon/objects/pulse.h"
#include "daemon/objects/timer.h"
#include "daemon/objects/wait_only_handle.h"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

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

// Returns whether tokens can be taken from the object, and returned.
bool has_tokens(const Object& object);

// Returns whether something waits for the object or monitors it.
inline bool is_needed(const Object& object)
{
    return object.interests > 0 || object.is_monitored;
}

// Returns whether these edges of an event, or the expirations of a timer, are reported.
bool is_watched(const Object& object, EdgeMask edges = EdgeMask::readable);

// Returns the object's id on the wire, which is its serial.
inline protocol::ObjectId id_of(const Object& object)
{
    return {static_cast<std::int64_t>(object.serial)};
}

using Objects = std::map<Name, Object>;

// Returns the object if it still exists, otherwise null.
Object* find(Objects& objects, const ObjectRef& reference);

// Returns the description of an object of this mode; of a timer if there is none.
std::string description(std::optional<Mode> mode);

} // namespace evfd::daemon
