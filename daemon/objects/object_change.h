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
        // A client or the daemon wrote or read a watched event. For a manual event, the edge shows
        // that the event was set, even if it is clear by now. This holds if the event was clear at
        // the previous edge, or when the watch began.
        edge,
        pulsed,
        expired,     // A timer whose expirations the daemon counts expired.
        rearmed,     // The timer was armed again or disarmed.
        cancelled,   // The timer was cancelled because the wall clock was set.
        permissions, // The permissions changed.
        subscribers, // The number of subscribers rose or fell by one.
        deleted,     // The object no longer exists.
    };

    Kind kind;
    ObjectRef object;
    std::int64_t times = 0; // The number of pulses or expirations.
    // The owner and the permissions before the change. Only for `permissions` and `deleted`.
    std::optional<Ownership> before = {};
};

} // namespace evfd::daemon
