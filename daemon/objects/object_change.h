// ObjectChange: one thing that happened to an object, as an entry of the object table's list.
//
// A change names its object by an ObjectRef, so the change can outlive the object.
#pragma once

#include "daemon/access/policy.h"
#include "daemon/objects/object_ref.h"

#include <cstdint>
#include <optional>

namespace evfd::daemon {

struct ObjectChange {
    enum class Kind : std::uint8_t {
        created,
        // A client or the daemon wrote or read a watched event. A manual event that was clear at
        // its last edge, or when its watch began, has been set since.
        edge,
        pulsed,
        expired,     // A timer expired, and the daemon counts its expirations.
        rearmed,     // The timer was armed again or disarmed.
        cancelled,   // The timer was cancelled because the wall clock was set.
        permissions, // The permissions changed.
        subscribers, // The object has one subscriber more, or one fewer.
        deleted,     // The object no longer exists.
    };

    Kind kind;
    ObjectRef object;
    std::int64_t times = 0; // The number of pulses or expirations.
    // The ownership before the change, for `permissions` and `deleted`.
    std::optional<Ownership> before = {};
};

} // namespace evfd::daemon
