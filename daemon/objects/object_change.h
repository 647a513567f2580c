// ObjectChange: one thing that happened to an object. The object table keeps a list of these
// changes.
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
        // A number was set; or a client or the daemon wrote or read a watched eventfd. If a
        // manual event was clear at its previous edge or when its watch began, this edge shows that
        // the event has been set since. The event can be clear again by now.
        edge,
        taken, // The daemon took tokens from a number. Only monitors need this change.
        pulsed,
        expired,     // The timer expired, and the daemon counted the expiration.
        rearmed,     // The timer was armed again or disarmed.
        cancelled,   // The timer was cancelled because the wall clock was set.
        permissions, // The permissions changed.
        subscribers, // The number of subscribers rose or fell by one.
        deleted,     // The object no longer exists.
    };

    Kind kind;
    ObjectRef object;
    std::int64_t times = 0; // The number of pulses or expirations.
    // The owner and the permissions before the change. Present only if `kind` is `permissions` or
    // `deleted`.
    std::optional<Ownership> before = {};
};

} // namespace evfd::daemon
