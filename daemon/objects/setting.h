// Setting: sets and clears events for a call, and adds the tokens of timers that set an event.
//
// Tokens are added through the TokenLog, so that no crash loses one. Everything that can be refused
// is checked before the first change: check_set() and check_clear() come first.
#pragma once

#include "common/protocol/protocol.h"
#include "common/result.h"
#include "common/time_slice.h"
#include "daemon/access/refusal.h"
#include "daemon/objects/authorization.h"
#include "daemon/objects/event_watches.h"
#include "daemon/objects/id_sequence.h"
#include "daemon/objects/object_table.h"
#include "daemon/objects/token_log.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace evfd::daemon {

// The events of a Clear, and how many of them are clear.
struct ClearProgress {
    std::vector<ObjectRef> objects;
    std::size_t cleared = 0; // The number of objects that are done.
    // Tokens left in the next object, once known: see drain().
    std::optional<std::uint64_t> remaining{};
};

class Setting {
public:
    Setting(ObjectTable& objects, Authorization& authorization, EventWatches& events,
            TokenLog& tokens, IdSequence& ids)
        : objects_{objects}, authorization_{authorization}, events_{events}, tokens_{tokens},
          ids_{ids}
    {
    }
    Setting(const Setting&) = delete;
    Setting& operator=(const Setting&) = delete;

    // Sets events in two steps, all of them or none if one is refused: check_set() returns the
    // increments, add() makes them. A semaphore gets the item's `count` tokens, and a pulse is set
    // `count` times. In between, the caller may do nothing but record that they will be made.
    Outcome<Increments> check_set(const Peer& peer, const Items<protocol::SetItem>& items);
    // The same for a Set that an earlier daemon began, which cannot be refused any more. An
    // increment has no object (null) if the peer may not set the event now, or if that daemon did
    // not have it.
    Increments recheck_set(const Peer& peer, const Items<protocol::SetItem>& items);
    Outcome<void> add(const Peer& peer, const Increments& increments);
    // Makes an increment for a timer that sets the event. It counts as a set by `armer`.
    Result<void> add_for_timer(const Increment& increment, uid_t armer);
    // Clears all of the events, or none if one is refused, in two steps: check_clear() returns the
    // events, clear() clears as many as fit into `slice` and returns whether it is finished. It
    // takes at least one token. Pulses have nothing to clear.
    Outcome<ClearProgress> check_clear(const Peer& peer, const Items<Item>& items);
    Outcome<bool> clear(ClearProgress& progress, const TimeSlice& slice,
                        const Delivered& delivered);

private:
    Result<void> apply(const Increments& increments, uid_t uid, pid_t pid);

    ObjectTable& objects_;
    Authorization& authorization_;
    EventWatches& events_;
    TokenLog& tokens_;
    IdSequence& ids_;
};

} // namespace evfd::daemon
