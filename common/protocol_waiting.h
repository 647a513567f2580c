// How to wait for names: Wait.
#pragma once

#include "common/protocol_types.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

namespace evfd::protocol {

using Count = Whole<1, std::numeric_limits<std::int64_t>::max()>;

struct Wait {
    Names names;
    std::optional<Gather> gather = {};
    std::optional<nanoseconds> timeout = {};
    std::optional<bool> existing = {};
    std::optional<Count> count = {};
    std::optional<bool> hold = {};

    struct Reply {
        std::vector<Fired> fired;
        static constexpr auto fields()
        {
            return std::tuple{field(
                "fired", &Reply::fired,
                "What ended the wait: one name for any; for all each, in the order of the names.")};
        }
    };

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Wait";
    static constexpr std::string_view comment =
        "Waits for events and timers by name and answers when the wait is over; names that are not "
        "there yet included. For a timer that is its next expiry, or an expiry before if there is "
        "no other to come. Looking and going to sleep are one step, so no set falls between. Those "
        "who wait to take are served in the order in which they came. A wait for all takes from "
        "all auto events and semaphores at once or from none; that a manual event was set, a pulse "
        "came or a timer expired since the wait began is enough. The wait ends with the "
        "connection. Called with `more` it says first, in a reply with nothing in fired, that it "
        "has begun: whatever happens from then on is not missed.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("names", &Wait::names, "1 to 253 names, none twice."),
            field("gather", &Wait::gather,
                  "Whether any of them ends the wait, or all must; all if absent."),
            field("timeoutNSec", &Wait::timeout,
                  "After how long to answer TimedOut, in nanoseconds; 0 looks once; for ever if "
                  "absent."),
            field("existing", &Wait::existing,
                  "If true, answer NoSuchName at once for a name that is not there."),
            field("count", &Wait::count,
                  "How many expirations or pulses it takes, since the wait began; 1 if absent. "
                  "More than 1 only for timers and pulses."),
            field("hold", &Wait::hold,
                  "If true, what it takes is only lent: it goes back, one token to each, when the "
                  "connection closes, or the session that Resume gave it ends, however that comes "
                  "about; what was deleted meanwhile gets none back. Only for auto events and "
                  "semaphores, of those who may wait and set. One connection can hold 253 tokens; "
                  "each is one of its user's waits."),
        };
    }
};

} // namespace evfd::protocol
