// How objects come, change hands and go: CreateEvent, Delete, SetRights.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

using InitialCount = BoundedInt<0, max_initial_count>;

struct CreateEvent {
    Name name;
    std::optional<Mode> mode = {};
    std::optional<InitialCount> initial = {};
    std::optional<Permissions> rights = {};
    std::optional<Lifetime> lifetime = {};
    std::optional<bool> if_missing = {};

    struct Reply {
        bool created;
        static constexpr auto fields()
        {
            return std::tuple{field("created", &Reply::created,
                                    "False if it was there already, which only ifMissing allows.")};
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "CreateEvent";
    static constexpr std::string_view comment = "Makes an event; the caller is its owner.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &CreateEvent::name,
                  "1 to 255 bytes: segments of [A-Za-z0-9._@:+-] joined by single slashes, none of "
                  "them \".\" or \"..\"."),
            field("mode", &CreateEvent::mode,
                  "What a wait does to it. manual (if absent): looks and takes nothing; a set "
                  "lasts until a clear and releases all who wait, even if it is cleared at once. "
                  "auto: takes the set, so one is released; sets before that are one. semaphore: "
                  "takes one token; a set adds some. pulse: a set reaches every subscriber of that "
                  "moment, once, and is counted in each one's own descriptor."),
            field("initial", &CreateEvent::initial,
                  "What its counter starts with, 0 if absent: set from the start if it is more. At "
                  "most 4294967295, and 0 for a pulse."),
            field(
                "rights", &CreateEvent::rights,
                "Octal, like a file's, for owner, group, others: r = may look, poll, and wait "
                "where a wait consumes nothing; w = may set and clear; to consume, by a wait for "
                "an auto event or a semaphore, takes both. \"0644\" if absent: others look. Owner "
                "and root may change the rights and delete, whatever they are."),
            field(
                "lifetime", &CreateEvent::lifetime,
                "permanent (if absent): until it is deleted. connection: until the connection of "
                "this call closes. process: until the process that connected has ended; execve(2) "
                "changes nothing of that, nor what becomes of the connection, and no other "
                "process inherits it."),
            field("ifMissing", &CreateEvent::if_missing,
                  "If true, an event of this mode that is there already is as good."),
        };
    }
};

struct Delete {
    NameList names;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Delete";
    static constexpr std::string_view comment =
        "Deletes objects: for their owner and root. Who waits by name hears Deleted; descriptors "
        "that were handed over stay with their holders but no longer belong to the name. All or "
        "nothing.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Delete::names, "1 to 253 names, none twice.")};
    }
};

struct SetRights {
    Name name;
    Permissions rights;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "SetRights";
    static constexpr std::string_view comment =
        "Changes an object's rights: for its owner and root. Whoever has a descriptor keeps it, "
        "and who waits by name already goes on.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &SetRights::name, "Which."),
                          field("rights", &SetRights::rights, "As in CreateEvent.")};
    }
};

} // namespace evfd::protocol
