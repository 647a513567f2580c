// The calls that report the state of the daemon itself: Status, Quotas, Metrics.
#pragma once

#include "common/protocol/types.h"

#include <cstdint>
#include <string>
#include <string_view>
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
        FdStore fd_store;
        std::int64_t orphaned_sessions;
        std::int64_t stashed_descriptors;
        std::int64_t journal_bytes;
        bool is_journal_writable;
        static constexpr auto fields()
        {
            return field_list(
                field("version", &Reply::version, "The daemon's version."),
                field("pid", &Reply::pid, "The daemon's process."),
                field("startedNSec", &Reply::started_at,
                      "Time of its start, in nanoseconds since 1970-01-01T00:00:00Z."),
                field("objects", &Reply::objects, "Number of objects."),
                field("connections", &Reply::connections, "Number of connections."),
                field("waits", &Reply::waits,
                      "Number of names that Wait calls wait for, each counted once for every call, "
                      "and of held tokens."),
                field("monitors", &Reply::monitors, "Number of Monitor calls."),
                field("subscriptions", &Reply::subscriptions,
                      "Number of private descriptors of subscribers, and of wait-only "
                      "descriptors."),
                field("descriptors", &Reply::descriptors,
                      "Number of descriptors that the daemon has open."),
                field("descriptorLimit", &Reply::descriptor_limit,
                      "Number of descriptors that the daemon can have open."),
                field("fdStore", &Reply::fd_store,
                      "What keeps the daemon's state while it is down: systemd, or the parent "
                      "process that evfdd --supervise starts. none: a crash loses all objects."),
                field("orphanedSessions", &Reply::orphaned_sessions,
                      "Number of sessions from before the last restart that no client has resumed "
                      "yet."),
                field("stashedDescriptors", &Reply::stashed_descriptors,
                      "Number of descriptors that the state store keeps."),
                field("journalBytes", &Reply::journal_bytes, "Size of the state store's journal."),
                field("isJournalWritable", &Reply::is_journal_writable,
                      "False if there is no memory for the journal: then calls that change "
                      "something are refused."));
        }
    };

    static constexpr std::string_view method = "Status";
    static constexpr std::string_view comment = "Returns the state of the daemon.";
    static constexpr auto fields() { return field_list(); }
};

struct Quotas {
    struct Quota {
        Resource quota;
        std::int64_t used;
        std::int64_t limit;

        static constexpr std::string_view type_name = "Quota";
        static constexpr std::string_view comment = "A user's use of one resource.";
        static constexpr auto fields()
        {
            return field_list(field("quota", &Quota::quota, "The resource."),
                              field("used", &Quota::used, "Amount that the user has in use."),
                              field("limit", &Quota::limit, "Amount that the user may use."));
        }
    };

    struct User {
        Uid uid;
        std::vector<Quota> quotas;

        static constexpr std::string_view type_name = "User";
        static constexpr std::string_view comment = "A user with any resource in use.";
        static constexpr auto fields()
        {
            return field_list(field("uid", &User::uid, "The user's uid."),
                              field("quotas", &User::quotas, "One entry for each resource."));
        }
    };

    struct Reply {
        std::vector<User> users;
        static constexpr auto fields()
        {
            return field_list(
                field("users", &Reply::users, "The next users, in the order of their uids."));
        }
    };

    static constexpr bool streams = true;
    static constexpr std::string_view method = "Quotas";
    static constexpr std::string_view comment =
        "Returns the resource use and the limits of each user, in several replies: of all users to "
        "root and to the daemon's own user, of the caller's user alone to others. The call needs "
        "`more`.";
    static constexpr auto fields() { return field_list(); }
};

struct Metrics {
    struct Reply {
        std::string text;
        static constexpr auto fields()
        {
            return field_list(field("text", &Reply::text, "OpenMetrics text, version 1.0.0."));
        }
    };

    static constexpr std::string_view method = "Metrics";
    static constexpr std::string_view comment =
        "Returns the daemon's metrics, counted from its start, for monitoring systems.";
    static constexpr auto fields() { return field_list(); }
};

} // namespace evfd::protocol
