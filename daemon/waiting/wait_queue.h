// WaitQueue: the waits for one name, in the order of arrival.
#pragma once

#include "daemon/objects/interest.h"
#include "daemon/objects/object.h"

#include <cstdint>
#include <list>
#include <map>
#include <optional>

namespace evfd::daemon {

class Wait;

// The waits for one name, and what happened to the object since the queue was created.
struct WaitQueue {
    // The waits in the order of arrival. Waits::finish() removes the wait that it finishes and no
    // other wait, so a loop must advance before it finishes a wait.
    std::list<Wait*> list{};
    // The waits to try when the object changes. The key is the position of the wait in the order of
    // arrival.
    std::map<std::uint64_t, Wait*> blocked{};
    // The object of this name; null while no object has the name.
    Object* object = nullptr;
    std::optional<Interest> interest{}; // Makes the object watched while this queue has waits.
    // The number of times that a manual event was set since the queue was created.
    std::int64_t sets = 0;
    std::int64_t times = 0; // The number of pulses or expirations since the queue was created.
    // The last epoch (see Waits) that began with an edge or the creation of the object, or with a
    // new check of a wait for the object.
    std::uint64_t changed_in = 0;
    std::uint64_t checked_in = 0; // The epoch (see Waits) in which cached_is_set was read.
    bool cached_is_set = false;
    int refs = 0; // The number of QueueRefs, which keep the queue even if no wait is in it.
};

} // namespace evfd::daemon
