// Object: a named event, pulse or timer, with its owner, its permissions and its lifetime.
#pragma once

#include "common/clock.h"
#include "common/name.h"
#include "common/protocol/protocol.h"
#include "daemon/access/policy.h"
#include "daemon/access/quota.h"
#include "daemon/objects/event.h"
#include "daemon/objects/object_ref.h"
#include "daemon/objects/pulse.h"
#include "daemon/objects/timer.h"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace evfd::daemon {

// Returns whether an event of this mode counts how often it is set. Setting a manual or auto event
// that is already set has no effect.
constexpr bool accumulates(Mode mode)
{
    return mode == Mode::semaphore || mode == Mode::pulse;
}

// Describes when a call or a timer last set an event, and which user set it. If a timer set the
// event, `uid` is the user who armed the timer.
struct LastSet {
    static constexpr auto no_uid = static_cast<uid_t>(-1); // No user has this uid. chown(2)

    // Returns whether the event was set at all.
    explicit operator bool() const { return uid != no_uid; }

    WallTime at = {};
    uid_t uid = no_uid;
    pid_t pid = 0; // 0 if a timer set the event.
};

// There can be max_objects objects that nobody uses at present. Members that few objects need are
// allocated separately, and the smallest members are last.
struct Object {
    using Body = std::variant<Event, std::unique_ptr<Pulse>, std::unique_ptr<Timer>>;

    Object(std::uint64_t object_serial, Ownership object_ownership, pid_t creator_pid,
           Lifetime object_lifetime, std::uint64_t lifetime_owner_id, bool persistent,
           Quota::Charge object_charge, Body object_body)
        : serial{object_serial}, ownership{object_ownership}, creator{creator_pid},
          lifetime_owner{lifetime_owner_id}, charge{std::move(object_charge)},
          body{std::move(object_body)}, lifetime{object_lifetime}, is_persistent{persistent}
    {
    }
    Object(const Object&) = delete; // Not copyable: a watch holds the address of the object.
    Object& operator=(const Object&) = delete;

    std::optional<Mode> mode() const;                    // Returns nothing for a timer.
    Event* event() { return std::get_if<Event>(&body); } // Returns null for a pulse or a timer.
    const Event* event() const { return std::get_if<Event>(&body); }
    Pulse* pulse() { return const_cast<Pulse*>(std::as_const(*this).pulse()); }
    const Pulse* pulse() const
    {
        const auto* pulse = std::get_if<std::unique_ptr<Pulse>>(&body);
        return pulse ? pulse->get() : nullptr;
    }
    Timer* timer() { return const_cast<Timer*>(std::as_const(*this).timer()); }
    const Timer* timer() const
    {
        const auto* timer = std::get_if<std::unique_ptr<Timer>>(&body);
        return timer ? timer->get() : nullptr;
    }
    SubscriptionTable* subscriptions(); // Returns null for an event other than a pulse.
    const SubscriptionTable* subscriptions() const;
    Kind kind() const { return timer() ? Kind::timer : Kind::event; }
    // Returns a description for messages, such as "a manual event" or "a timer".
    std::string description() const;

    // A number from 1 to max_object_id that no other object ever gets, unlike the name or the
    // address.
    std::uint64_t serial;
    Ownership ownership;
    pid_t creator;
    WallTime created = wall_now();
    LastSet last_set = {}; // Converts to false for a timer, and until the event is set.
    // The id of the session or process whose end deletes the object; 0 if the object is permanent.
    std::uint64_t lifetime_owner;
    Quota::Charge charge;
    Body body;
    std::int32_t interests = 0; // The number of Interests that keep the object watched.
    Lifetime lifetime;
    bool is_persistent; // True if the state store has a record of the object.
    // True if a monitor reports the object. Can stay true after the monitor has ended, until
    // Monitors next checks the object.
    bool is_monitored = false;
};

// Returns whether the object is an auto event or a semaphore, so that waits consume its tokens.
bool has_tokens(const Object& object);

// Returns whether an Interest or a monitor needs the object to be watched.
inline bool is_needed(const Object& object)
{
    return object.interests > 0 || object.is_monitored;
}

// Returns whether the daemon watches the object. An event is watched if its EdgeWatch reports
// `edges`. A timer is watched if the daemon counts its expirations.
bool is_watched(const Object& object, EdgeMask edges = EdgeMask::readable);

// Returns the object's id on the wire, which is its serial.
inline protocol::ObjectId id_of(const Object& object)
{
    return {static_cast<std::int64_t>(object.serial)};
}

using Objects = std::map<Name, Object, std::less<>>;

// Returns the object, or null if it no longer exists.
Object* find(Objects& objects, const ObjectRef& reference);

// Returns the description of an event of this mode, or of a timer if `mode` is empty.
std::string description(std::optional<Mode> mode);

} // namespace evfd::daemon
