// What makes that a killed daemon is no matter: Resume.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>

namespace evfd::protocol {

struct Resume {
    std::string session;
    std::int64_t calls;

    struct Reply {
        bool is_certain;
        static constexpr auto fields()
        {
            return std::tuple{
                field("isCertain", &Reply::is_certain,
                      "False if the daemon knows nothing of what was done before it started: then "
                      "a call that was under way may have been done.")};
        }
    };

    static constexpr std::string_view method = "Resume";
    static constexpr std::string_view comment =
        "Gives the connection a session that outlives the daemon. When the daemon was killed or "
        "restarted, call this first on a new connection: what belonged to the lost one (what ends "
        "with it, subscriptions) belongs to the new one, and the call that was under way can be "
        "sent again: it is done once, and answered as it was. To be called before any other call "
        "that the session counts: CreateEvent, Arm, Disarm, Open, Unsubscribe, Acknowledge, Set, "
        "Clear, Wait, Join, Release, Delete and SetRights, unless oneway. What nobody takes up in "
        "time ends.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("session", &Resume::session,
                  "128 random bits, chosen by the caller, as 32 hexadecimal digits. Good only for "
                  "the user who began it."),
            field("calls", &Resume::calls,
                  "How many answers to counted calls came on it so far; 0 begins a session."),
        };
    }
};

} // namespace evfd::protocol
