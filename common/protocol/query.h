// The calls that report objects and their changes: Show, List, Monitor.
#pragma once

#include "common/pattern.h"
#include "common/protocol/types.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace evfd::protocol {

struct Show {
    Name name;

    struct Reply {
        Object object;
        static constexpr auto fields()
        {
            return field_list(field("object", &Reply::object, "The object."));
        }
    };

    static constexpr std::string_view method = "Show";
    static constexpr std::string_view comment =
        "Returns one object; its state only if the caller has the r permission. Fails with "
        "NotPermitted if List does not show the object to the caller.";
    static constexpr auto fields()
    {
        return field_list(field("name", &Show::name, "The object's name."));
    }
};

struct ListObjects {
    std::optional<Pattern> pattern = {};

    struct Reply {
        std::vector<Object> objects;
        static constexpr auto fields()
        {
            return field_list(field("objects", &Reply::objects,
                                    "The next objects, in the order of their names."));
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "List";
    static constexpr std::string_view comment =
        "Returns the objects that the caller owns, may wait for or may set, in several replies. "
        "Root sees all objects; only the user UID and root see names below user/UID. The call "
        "needs `more`.";
    static constexpr auto fields()
    {
        return field_list(field("pattern", &ListObjects::pattern,
                                "Returns only names that this glob matches; * and ? do not match a "
                                "slash, ** does, and a character class such as [:alpha:] is "
                                "invalid. All names if absent."));
    }
};

struct Monitor {
    std::optional<Pattern> pattern = {};
    std::optional<bool> include_waiters = {};

    struct Reply {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name;
        std::optional<Object> object;
        static constexpr auto fields()
        {
            return field_list(
                field("sequence", &Reply::sequence, "Number of this reply, from 1."),
                field("change", &Reply::change,
                      "present: an object that exists when the call begins. ready: all existing "
                      "objects have been reported, changes follow. created, changed, deleted: a "
                      "change since the last report of this object, before ready only if many "
                      "objects "
                      "change meanwhile. resync: the caller left too "
                      "much unread, or the administrator's policy has changed; the caller discards "
                      "what was reported, and present and ready follow again."),
                field("name", &Reply::name, "The object's name; absent for ready and resync."),
                field("object", &Reply::object,
                      "The object; absent for deleted, ready and resync."));
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Monitor";
    static constexpr std::string_view comment =
        "Reports the state of all objects and then every change, also sets and clears on "
        "descriptors, until the connection closes. For a caller that reads slowly, several "
        "changes of an object are merged into one report. Sets and clears are reported only to a "
        "caller with the r permission. An object that List does not show to the caller is not "
        "reported: it is created when the caller may see it, and deleted when the caller may see "
        "it no longer. The call needs `more`.";
    static constexpr auto fields()
    {
        return field_list(
            field("pattern", &Monitor::pattern,
                  "Reports only names that this glob matches, as in List."),
            field("includeWaiters", &Monitor::include_waiters,
                  "If true, also reports an object when its number of waits or subscribers "
                  "changes; otherwise the next report of the object has these numbers."));
    }
};

} // namespace evfd::protocol
