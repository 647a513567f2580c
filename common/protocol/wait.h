// The calls that wait for objects by name, and that hold and return the tokens consumed by a wait:
// Wait, Join, Release.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::protocol {

using Count = BoundedInt<1, std::numeric_limits<std::int64_t>::max()>;

struct WaitItem {
    Name name;
    std::optional<Until> until = {};
    std::optional<Count> count = {};
    std::optional<bool> existing = {};
    friend bool operator==(const WaitItem&, const WaitItem&) = default;

    static constexpr std::string_view type_name = "WaitItem";
    static constexpr std::string_view comment = "An object that a call of Wait waits for.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &WaitItem::name,
                  "The object's name. If no object has it yet, the wait includes its creation."),
            field("until", &WaitItem::until,
                  "State of the object that ends the wait; set if absent. A timer is set when it "
                  "expires. This version refuses clear with InvalidParameter."),
            field("count", &WaitItem::count,
                  "Number of expirations or pulses that end the wait, counted from its beginning; "
                  "1 if absent. More than 1 is for timers and pulses; this version refuses it for "
                  "a semaphore with InvalidParameter."),
            field("existing", &WaitItem::existing,
                  "If true, the call fails with NoSuchName if the object does not exist."));
    }
};

struct Wait {
    Items<WaitItem> items;
    std::optional<Require> require = {};
    std::optional<nanoseconds> timeout = {};
    std::optional<Holder> hold = {};

    struct Reply {
        std::vector<Fired> fired;
        std::optional<std::string> hold = {};
        static constexpr auto fields()
        {
            return field_list(
                field("fired", &Reply::fired,
                      "The items that ended the wait: one for any; every item for all, in the "
                      "order of the call."),
                field("hold", &Reply::hold,
                      "Name of the hold, for Join and Release; it cannot be guessed. Absent if "
                      "the call did not ask for a hold."));
        }
    };

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Wait";
    static constexpr std::string_view comment =
        "Waits for events and timers by name, and replies when the wait ends. A wait needs the r "
        "permission; a wait for an auto event or a semaphore consumes a token and needs the w "
        "permission as well. A wait for a timer ends with its next expiration, or at once if it "
        "has expired and does not expire again. The daemon checks the objects and queues the "
        "caller in one step, so no set is missed between the two. Waits that consume are served "
        "in the order of arrival. A wait for all consumes from all auto events and semaphores at "
        "once or from none; for a manual event, a pulse or a timer it is enough that it was set "
        "or expired since the wait began. The wait ends when the connection closes. If the call "
        "has `more`, the first reply has an empty `fired` and says that the wait has begun: "
        "nothing that happens later is missed.";
    static constexpr auto fields()
    {
        return field_list(
            field("items", &Wait::items, "1 to 253 objects, no name twice."),
            field("require", &Wait::require,
                  "Whether any one of the items ends the wait, or all of them together; all if "
                  "absent."),
            field("timeoutNSec", &Wait::timeout,
                  "Time after which the call fails with TimedOut, in nanoseconds; 0 checks once. "
                  "If absent, the wait has no timeout."),
            field("hold", &Wait::hold,
                  "Holder of the tokens that the wait consumes; if absent, the tokens are used up. "
                  "Held tokens are returned, one to each object, when their last holder has ended "
                  "in any way, or by Release; an object that was deleted meanwhile gets none. "
                  "process: the process that connected, until it has ended; execve(2) and the end "
                  "of the connection change nothing, and no other process inherits the hold. "
                  "session: this connection until it closes, or the session that Resume gave it "
                  "until the session ends; a session holds at most 253 tokens. Through a relay or "
                  "a proxy the process is the relay: use session. Only auto events and semaphores "
                  "can be held. Each held token, and each holder but the first, counts as one of "
                  "the user's waits."));
    }
};

struct Join {
    std::string hold;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Join";
    static constexpr std::string_view comment =
        "Makes the process that connected a further holder of the tokens of a Wait: they are "
        "returned when the last holder has ended. Only processes of the user who called Wait may "
        "join.";
    static constexpr auto fields()
    {
        return field_list(field("hold", &Join::hold, "The hold, as Wait returned it."));
    }
};

struct Release {
    std::string hold;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Release";
    static constexpr std::string_view comment =
        "Returns the tokens that a Wait holds, for all of its holders. The caller must be one of "
        "them: the process that connected, under any user, or the session.";
    static constexpr auto fields()
    {
        return field_list(field("hold", &Release::hold, "The hold, as Wait returned it."));
    }
};

} // namespace evfd::protocol
