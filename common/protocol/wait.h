// How to wait for names, and to hold what a wait took: Wait, Join, Release.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace evfd::protocol {

using Count = BoundedInt<1, std::numeric_limits<std::int64_t>::max()>;

struct Wait {
    NameList names;
    std::optional<Require> gather = {};
    std::optional<nanoseconds> timeout = {};
    std::optional<bool> existing = {};
    std::optional<Count> count = {};
    std::optional<bool> hold = {};
    std::optional<Holder> holder = {};

    struct Reply {
        std::vector<Fired> fired;
        std::optional<std::string> hold = {};
        static constexpr auto fields()
        {
            return std::tuple{
                field("fired", &Reply::fired,
                      "What ended the wait: one name for any; for all each, in the order of the "
                      "names."),
                field("hold", &Reply::hold,
                      "With hold: by what Join and Release call it; nobody can guess it.")};
        }
    };

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Wait";
    static constexpr std::string_view comment =
        "Waits for events and timers by name and answers when the wait is over; names that are not "
        "there yet included. To wait takes the right to wait, and for an auto event or a "
        "semaphore, "
        "from which a wait takes, the right to set as well. For a timer that is its next expiry, "
        "or an expiry before if there is "
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
                  "If true, what it takes is only lent: it goes back, one token to each, when its "
                  "last holder has ended, however that comes about, or with Release; what was "
                  "deleted meanwhile gets none back. Only for auto events and semaphores. Each "
                  "token is one of its user's waits, and so is each holder but the first."),
            field("holder", &Wait::holder,
                  "Who is the first to hold it. process: the one that connected, until it has "
                  "ended; execve(2) changes nothing of that, nor what becomes of the connection, "
                  "and no other process inherits it. session (if absent): this connection until it "
                  "closes, or the session that Resume gave it until that ends; it can hold 253 "
                  "tokens. Through a relay or a proxy the process is that one: then take session."),
        };
    }
};

struct Join {
    std::string hold;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Join";
    static constexpr std::string_view comment =
        "Makes the process that connected one more holder of what a Wait took: it goes back when "
        "the last of its holders has ended. For processes of the user who took it.";
    static constexpr auto fields()
    {
        return std::tuple{field("hold", &Join::hold, "As Wait returned it.")};
    }
};

struct Release {
    std::string hold;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Release";
    static constexpr std::string_view comment =
        "Gives back what a Wait took to hold, for all of its holders, of whom the caller must be "
        "one: the process that connected, as whatever user, or the session.";
    static constexpr auto fields()
    {
        return std::tuple{field("hold", &Release::hold, "As Wait returned it.")};
    }
};

} // namespace evfd::protocol
