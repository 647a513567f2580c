// The calls that set and clear events: Set, Clear.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>

namespace evfd::protocol {

using Tokens = BoundedInt<1, max_tokens_per_set>;

struct SetItem {
    Name name;
    std::optional<Tokens> count = {};
    std::optional<ObjectId> id = {};
    friend bool operator==(const SetItem&, const SetItem&) = default;

    static constexpr std::string_view type_name = "SetItem";
    static constexpr std::string_view comment = "An event that a call of Set sets.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &SetItem::name, "The event's name."),
            field("count", &SetItem::count,
                  "Number of tokens that a semaphore gets, and of pulses that each subscriber "
                  "counts; 1 if absent. Manual and auto events are set once, whatever it is. One "
                  "call adds at most 16384 over all items and subscribers."),
            field("id", &SetItem::id, id_comment));
    }
};

struct Set {
    Items<SetItem> items;

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Set";
    static constexpr std::string_view comment =
        "Sets events. CreateEvent describes the effect for each mode. The call sets all events or "
        "none. It needs the w permission.";
    static constexpr auto fields()
    {
        return field_list(field("items", &Set::items, "1 to 253 events, no name twice."));
    }
};

struct Clear {
    Items<Item> items;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Clear";
    static constexpr std::string_view comment =
        "Clears events: afterwards they are not set, and the tokens that a semaphore had when the "
        "call began are removed. Tokens are removed one by one, a million in about half a second. "
        "A pulse has nothing to clear. The call needs the w permission.";
    static constexpr auto fields()
    {
        return field_list(field("items", &Clear::items, "1 to 253 events, no name twice."));
    }
};

} // namespace evfd::protocol
