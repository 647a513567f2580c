// What there is and what happens to it: Show, List, Monitor.
#pragma once

#include "common/pattern.h"
#include "common/protocol/types.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

namespace evfd::protocol {

struct Show {
    Name name;

    struct Reply {
        Object object;
        static constexpr auto fields()
        {
            return std::tuple{field("object", &Reply::object, "As it is now.")};
        }
    };

    static constexpr std::string_view method = "Show";
    static constexpr std::string_view comment = "Tells what one object is, and what state it is in "
                                                "to those who may wait for it. Who does not "
                                                "see it in a List is refused: NotPermitted.";
    static constexpr auto fields() { return std::tuple{field("name", &Show::name, "Which.")}; }
};

struct ListObjects {
    std::optional<Pattern> pattern = {};

    struct Reply {
        std::vector<Object> objects;
        static constexpr auto fields()
        {
            return std::tuple{
                field("objects", &Reply::objects, "Some of them, in the order of their names.")};
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "List";
    static constexpr std::string_view comment =
        "Tells of all objects that the caller sees, some with each reply: those that it owns, may "
        "wait for or may set. Root sees all; names below user/UID are seen by that user and root "
        "alone. Call it with `more`.";
    static constexpr auto fields()
    {
        return std::tuple{field("pattern", &ListObjects::pattern,
                                "Only names that this glob matches; * and ? stop at a slash.")};
    }
};

struct Monitor {
    std::optional<Pattern> pattern = {};
    std::optional<bool> attendance = {};

    struct Reply {
        std::int64_t sequence;
        Change change;
        std::optional<Name> name;
        std::optional<Object> object;
        static constexpr auto fields()
        {
            return std::tuple{
                field("sequence", &Reply::sequence, "Counts the replies, from 1."),
                field("change", &Reply::change,
                      "present: it is there, for each object at first; ready: those were all, "
                      "changes follow; created, changed, deleted: what happened to it since it was "
                      "last told of; resync: too much was left unread, forget all that was told: "
                      "present and ready follow again."),
                field("name", &Reply::name, "Of what; absent for ready and resync."),
                field("object", &Reply::object,
                      "As it is now; absent for deleted, ready and resync."),
            };
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Monitor";
    static constexpr std::string_view comment =
        "Tells the state of all objects and then every change, sets and clears done on descriptors "
        "included, until the connection closes. Who reads slowly hears of several changes of an "
        "object as one. Sets and clears are told only to those who may wait. An object that the "
        "caller does not see in a List is not there for it: it is created when it comes into sight "
        "and deleted when it goes out of it. Call it with `more`.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("pattern", &Monitor::pattern, "Only names that this glob matches."),
            field("attendance", &Monitor::attendance,
                  "Also tell when other clients begin to wait for an object or to follow it, or "
                  "cease to; else that is seen with its next change."),
        };
    }
};

} // namespace evfd::protocol
