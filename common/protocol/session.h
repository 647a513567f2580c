// The call by which a client continues its session after a restart of the daemon: Resume.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace evfd::protocol {

struct Resume {
    std::string session;
    std::int64_t sequence;

    struct Reply {
        bool is_history_complete;
        static constexpr auto fields()
        {
            return field_list(
                field("isHistoryComplete", &Reply::is_history_complete,
                      "False if the daemon does not know what was done before it started: then the "
                      "call that was under way may have been done."));
        }
    };

    static constexpr std::string_view method = "Resume";
    static constexpr std::string_view comment =
        "Gives the connection a session that outlives the daemon. After the daemon was killed or "
        "restarted, the client calls this first on a new connection: the objects, subscriptions "
        "and holds of the lost connection then belong to the new one, and the client can send the "
        "call that was under way again. The daemon does that call once and answers it as it did "
        "before. Resume must come before every other call that the session counts: CreateEvent, "
        "Arm, Disarm, Set, Clear, Wait, Join, Release, Open, Unsubscribe, Delete, SetPermissions "
        "and Acknowledge, unless they are oneway. A session that no client resumes in time ends.";
    static constexpr auto fields()
    {
        return field_list(
            field("session", &Resume::session,
                  "128 random bits that the client chooses, as 32 hexadecimal digits. Only the "
                  "user who began the session can resume it."),
            field("sequence", &Resume::sequence,
                  "Number of replies to counted calls that the client has received in this "
                  "session; 0 begins a session."));
    }
};

} // namespace evfd::protocol
