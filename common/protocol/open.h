// How descriptors are had and given up: Open, Unsubscribe, Acknowledge.
#pragma once

#include "common/protocol/types.h"

#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace evfd::protocol {

struct Open {
    NameList names;

    struct Reply {
        std::vector<Opened> objects;
        static constexpr auto fields()
        {
            return std::tuple{
                field("objects", &Reply::objects, "One for each name, in the order of the names.")};
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Open";
    static constexpr std::string_view comment =
        "Hands over what the caller may have of each object: a descriptor of its own. After that "
        "waiting, setting and clearing need no daemon. All or nothing. The descriptors ride with "
        "the first byte of the reply: a receiver that reads ahead has room for 253 at each "
        "recvmsg(2), and keeps what came in a queue, of which each reply takes the first "
        "descriptors that it names.";
    static constexpr auto fields()
    {
        return std::tuple{field("names", &Open::names, "1 to 253 names, none twice.")};
    }
};

struct Unsubscribe {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Unsubscribe";
    static constexpr std::string_view comment =
        "Ends a subscription of this connection: its descriptor no longer follows the name.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("subscription", &Unsubscribe::subscription, "As Open returned it.")};
    }
};

struct Acknowledge {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Acknowledge";
    static constexpr std::string_view comment =
        "To be called after a read(2) of a timer's descriptor said ECANCELED: the wall clock was "
        "set, and the kernel lets the descriptor go on. Now that this was heard it is disarmed as "
        "the timer is, unless that was armed anew since.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("subscription", &Acknowledge::subscription, "As Open returned it.")};
    }
};

} // namespace evfd::protocol
