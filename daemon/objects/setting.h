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

// The events that a Clear call clears, and how far the call has come.
struct ClearProgress {
    std::vector<ObjectRef> objects;
    // The number of objects at the beginning of the list that are cleared already.
    std::size_t cleared = 0;
    // The largest number of tokens that the call still takes from the next object. Empty until
    // Event::clear() has determined this number.
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

    // Checks a Set call and returns its increments, which add() makes. If one event is refused,
    // none is set. A semaphore gets the item's `count` tokens, and a pulse is set `count` times.
    // A caller that passes these increments to add() must do nothing between the two calls except
    // record that the increments will be made.
    Outcome<Increments> check_set(const Peer& peer, const Items<protocol::SetItem>& items);
    // Returns the increments of a Set call that an earlier daemon began. Such a call cannot be
    // refused any more. The object of an increment is null if the event no longer exists, if the
    // peer may not set the event now, or if the event was created after the earlier daemon ended.
    Increments recheck_set(const Peer& peer, const Items<protocol::SetItem>& items);
    // Makes the increments that check_set() or recheck_set() returned.
    Outcome<void> add(const Peer& peer, const Increments& increments);
    // Makes an increment for a timer that sets the event. `armer`, the user who armed the timer, is
    // recorded as the user who set the event.
    Result<void> add_for_timer(const Increment& increment, uid_t armer);
    // Checks a Clear call and returns the events, which clear() clears. If one event is refused,
    // none is cleared. The result contains no pulses, which have nothing to clear.
    Outcome<ClearProgress> check_clear(const Peer& peer, const Items<Item>& items);
    // Clears as many of the events as fit into `slice`. Takes at least one token, even if the slice
    // is over. Returns whether all of the events are cleared.
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
