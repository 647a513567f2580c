// What events are told: Set, Clear.
#pragma once

#include "common/protocol/types.h"

#include <optional>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

using Tokens = BoundedInt<1, max_tokens_per_set>;

struct Set {
    NameList names;
    std::optional<Tokens> count = {};

    using Reply = Nothing;

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Set";
    static constexpr std::string_view comment =
        "Sets events, as CreateEvent says of each mode. All or nothing.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("names", &Set::names, "1 to 253 names, none twice."),
            field("count", &Set::count,
                  "How many tokens a semaphore gets and how many pulses are counted, 1 if absent; "
                  "one set is one for manual and auto. At most 16384, for all names and "
                  "subscriptions of the call together."),
        };
    }
};

struct Clear {
    NameList names;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Clear";
    static constexpr std::string_view comment =
        "Clears events: no longer set, no token left of those that there were. A semaphore's are "
        "taken one by one, a million in about half a second. A pulse has nothing to clear.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Clear::names, "1 to 253 names, none twice.")};
    }
};

} // namespace evfd::protocol
