// The calls about descriptors and subscriptions: Open, Unsubscribe, Acknowledge.
#pragma once

#include "common/protocol/types.h"

#include <string>
#include <string_view>
#include <vector>

namespace evfd::protocol {

struct Open {
    Items<Item> items;

    struct Reply {
        std::vector<Opened> objects;
        static constexpr auto fields()
        {
            return field_list(
                field("objects", &Reply::objects, "One for each item, in the order of the call."));
        }
    };

    static constexpr bool once = true;
    static constexpr bool counts = true;
    static constexpr std::string_view method = "Open";
    static constexpr std::string_view comment =
        "Opens objects: returns a descriptor of each, as the caller's permissions allow. From then "
        "on the caller waits, sets and clears without the daemon. The call opens all objects or "
        "none. The descriptors come with the first byte of the reply. A receiver that reads ahead "
        "has room for 253 descriptors at each recvmsg(2) and keeps them in a queue; each reply "
        "takes from its front the descriptors that it names.";
    static constexpr auto fields()
    {
        return field_list(field("items", &Open::items, "1 to 253 objects, no name twice."));
    }
};

struct Unsubscribe {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Unsubscribe";
    static constexpr std::string_view comment =
        "Ends a subscription of this connection: its descriptor gets no further pulses or "
        "expirations.";
    static constexpr auto fields()
    {
        return field_list(field("subscription", &Unsubscribe::subscription,
                                "The subscription, as Open returned it."));
    }
};

struct Acknowledge {
    std::string subscription;

    using Reply = Nothing;

    static constexpr bool counts = true;
    static constexpr std::string_view method = "Acknowledge";
    static constexpr std::string_view comment =
        "Confirms that a read(2) of a timer's descriptor failed with ECANCELED, since the wall "
        "clock was set. The kernel lets such a descriptor go on; this call disarms it, as the "
        "timer is, unless the timer was armed again since.";
    static constexpr auto fields()
    {
        return field_list(field("subscription", &Acknowledge::subscription,
                                "The subscription, as Open returned it."));
    }
};

} // namespace evfd::protocol
