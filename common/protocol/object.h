// The calls that create and delete objects and change their permissions: CreateEvent, Delete,
// SetPermissions.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>

namespace evfd::protocol {

using InitialCount = BoundedInt<0, max_initial_count>;

struct CreateEvent {
    Name name;
    std::optional<Mode> mode = {};
    std::optional<InitialCount> initial = {};
    std::optional<Permissions> permissions = {};
    std::optional<Lifetime> lifetime = {};
    std::optional<bool> if_missing = {};
    friend bool operator==(const CreateEvent&, const CreateEvent&) = default;

    struct Reply {
        bool created;
        ObjectId id;
        static constexpr auto fields()
        {
            return field_list(field("created", &Reply::created,
                                    "False if the event existed, which ifMissing allows."),
                              field("id", &Reply::id, "The event's id, as in Object."));
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "CreateEvent";
    static constexpr std::string_view comment = "Creates an event. The caller owns it.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &CreateEvent::name,
                  "1 to 255 bytes: segments of [A-Za-z0-9._@:+-] joined by single slashes, none of "
                  "them \".\" or \"..\"."),
            field("mode", &CreateEvent::mode,
                  "Effect of a set and of a wait. manual (if absent): a set lasts until a clear "
                  "and ends every wait of that moment, even if the event is cleared at once; a "
                  "wait consumes nothing. auto: a set lasts until one wait consumes it; further "
                  "sets before that change nothing. semaphore: a set adds tokens; a wait consumes "
                  "one. pulse: a set reaches every subscriber of that moment once and is counted "
                  "in the subscriber's own descriptor."),
            field("initial", &CreateEvent::initial,
                  "Initial value of the counter; 0 if absent. The event starts set if it is more "
                  "than 0. At most 4294967295, and 0 for a pulse."),
            field("permissions", &CreateEvent::permissions,
                  "File mode in octal, for owner, group and others. r: see the state, poll, and "
                  "wait where a wait consumes nothing. w: set and clear. A wait for an auto event "
                  "or a semaphore consumes and needs both. \"0644\" if absent. Owner and root may "
                  "always change the permissions and delete the event."),
            field("lifetime", &CreateEvent::lifetime,
                  "permanent (if absent): until the event is deleted. session: until the session "
                  "of this connection ends; without Resume that is when the connection closes. "
                  "process: until the process that connected has ended; execve(2) and the end of "
                  "the connection change nothing, and no other process inherits it."),
            field("ifMissing", &CreateEvent::if_missing,
                  "If true, the call succeeds if an event of this mode exists; the event stays as "
                  "it is."));
    }
};

struct Delete {
    Items<Item> items;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Delete";
    static constexpr std::string_view comment =
        "Deletes objects. Only the owner and root may. Waits for them fail with Deleted. A process "
        "that has a descriptor keeps it, but the descriptor no longer belongs to the name. The "
        "call deletes all objects or none.";
    static constexpr auto fields()
    {
        return field_list(field("items", &Delete::items, "1 to 253 objects, no name twice."));
    }
};

struct SetPermissions {
    Name name;
    Permissions permissions;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "SetPermissions";
    static constexpr std::string_view comment =
        "Changes the permissions of an object, like chmod(2). Only the owner and root may. A "
        "process that has a descriptor keeps it. A wait that the new permissions do not allow "
        "fails with NotPermitted.";
    static constexpr auto fields()
    {
        return field_list(field("name", &SetPermissions::name, "The object's name."),
                          field("permissions", &SetPermissions::permissions,
                                "The new permissions, as in CreateEvent."));
    }
};

} // namespace evfd::protocol
