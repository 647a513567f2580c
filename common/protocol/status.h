// What the daemon tells of itself: Status, Quotas, Metrics.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace evfd::protocol {

struct Status {
    struct Reply {
        std::string version;
        std::int64_t pid;
        WallTime started_at;
        std::int64_t objects;
        std::int64_t connections;
        std::int64_t waits;
        std::int64_t monitors;
        std::int64_t subscriptions;
        std::int64_t descriptors;
        std::int64_t descriptor_limit;
        FdStore guardian;
        std::int64_t waits_for_sessions;
        std::int64_t parked;
        std::int64_t journal_bytes;
        bool can_keep;
        static constexpr auto fields()
        {
            return std::tuple{
                field("version", &Reply::version, "The daemon's."),
                field("pid", &Reply::pid, "Its process."),
                field("startedNSec", &Reply::started_at, "When it started, as createdNSec."),
                field("objects", &Reply::objects, "How many there are."),
                field("connections", &Reply::connections, "How many clients are connected."),
                field(
                    "waits", &Reply::waits,
                    "How many names are waited for, each by as many Wait calls, and tokens held."),
                field("monitors", &Reply::monitors, "How many Monitor calls are running."),
                field("subscriptions", &Reply::subscriptions,
                      "How many private descriptors are followed."),
                field("descriptors", &Reply::descriptors,
                      "How many descriptors the daemon has open."),
                field("descriptorLimit", &Reply::descriptor_limit, "How many it can have."),
                field("guardian", &Reply::guardian,
                      "Who keeps what is to outlive the daemon; none: a crash loses all objects."),
                field("waitsForSessions", &Reply::waits_for_sessions,
                      "How many sessions of before its start were not taken up again yet."),
                field("parked", &Reply::parked, "How many descriptors are kept so."),
                field("journalBytes", &Reply::journal_bytes,
                      "How long the journal is that tells of them."),
                field("canKeep", &Reply::can_keep,
                      "Whether all that is done is kept; false if memory for the journal ran out."),
            };
        }
    };

    static constexpr std::string_view method = "Status";
    static constexpr std::string_view comment = "Tells how the daemon is.";
    static constexpr auto fields() { return std::tuple{}; }
};

struct Quotas {
    struct Quota {
        Resource quota;
        std::int64_t used;
        std::int64_t limit;

        static constexpr std::string_view type_name = "Quota";
        static constexpr std::string_view comment = "What one user has of one thing.";
        static constexpr auto fields()
        {
            return std::tuple{field("quota", &Quota::quota, "Of what."),
                              field("used", &Quota::used, "How much the user has."),
                              field("limit", &Quota::limit, "How much it may have.")};
        }
    };

    struct User {
        Uid uid;
        std::vector<Quota> quotas;

        static constexpr std::string_view type_name = "User";
        static constexpr std::string_view comment = "A user who has anything of the daemon.";
        static constexpr auto fields()
        {
            return std::tuple{field("uid", &User::uid, "Who."),
                              field("quotas", &User::quotas, "One for each thing there is.")};
        }
    };

    struct Reply {
        std::vector<User> users;
        static constexpr auto fields()
        {
            return std::tuple{
                field("users", &Reply::users, "Some of them, in the order of their uids.")};
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Quotas";
    static constexpr std::string_view comment = "Tells what each user has and may have: root and "
                                                "the daemon's own user of everybody, others "
                                                "of themselves. Call it with `more`.";
    static constexpr auto fields() { return std::tuple{}; }
};

struct Metrics {
    struct Reply {
        std::string text;
        static constexpr auto fields()
        {
            return std::tuple{field("text", &Reply::text, "OpenMetrics text, version 1.0.0.")};
        }
    };

    static constexpr std::string_view method = "Metrics";
    static constexpr std::string_view comment =
        "Tells what the daemon counted of itself since its start, for monitoring systems.";
    static constexpr auto fields() { return std::tuple{}; }
};

} // namespace evfd::protocol
