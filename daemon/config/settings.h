// The contents of a configuration file, as the structs into which the codec decodes the file. A
// declared object has the fields of the request that creates it, without the fields that only a
// client can give.
#pragma once

#include "common/protocol/protocol.h"
#include "common/timestamp.h"
#include "daemon/access/principal.h"
#include "daemon/base/log.h"

#include <optional>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// The mode of the socket file in octal, such as "0660". chmod(1)
struct SocketMode {
    static constexpr std::string_view syntax = "an octal mode in quotes, such as \"0660\"";
    static std::optional<SocketMode> parse(std::string_view text);
    mode_t bits;
};

// A prefix of names. A rule applies to the names that begin with its prefix.
struct Prefix {
    static constexpr std::string_view syntax =
        "what names begin with, such as \"db/\", or \"\" for all of them: at most 255 bytes, "
        "segments of [A-Za-z0-9._@:+-] joined by single slashes";
    static std::optional<Prefix> parse(std::string_view text);
    std::string text;
};

using LimitSettings = EnumMap<Resource, Located<std::int64_t>>;

struct UserLimitSettings {
    User user;
    LimitSettings limits;

    static constexpr std::string_view example = R"({"user": "root", "waits": 10})";
    static constexpr auto fields()
    {
        return field_list(field("user", &UserLimitSettings::user, ""),
                          part(&UserLimitSettings::limits));
    }
};

// An operation that a rule allows or denies. Some operations have other names in the configuration
// than on the wire.
struct Operation {
    static constexpr std::string_view syntax = "create, wait, set or delete";
    static std::optional<Operation> parse(std::string_view text);
    Permission permission;
};

struct RuleSettings {
    using Operations = std::vector<Located<Operation>>;
    Located<Prefix> prefix;
    std::optional<User> user;
    std::optional<Group> group;
    std::optional<Operations> allow;
    std::optional<Operations> deny;

    static constexpr std::string_view example = R"({"prefix": "db/", "deny": ["create"]})";
    static constexpr auto fields()
    {
        return field_list(
            field("prefix", &RuleSettings::prefix, ""), field("user", &RuleSettings::user, ""),
            field("group", &RuleSettings::group, ""), field("allow", &RuleSettings::allow, ""),
            field("deny", &RuleSettings::deny, ""));
    }
};

// The decision about an operation that no rule matches.
enum class Verdict { allow, deny };
constexpr auto enum_names(Verdict)
{
    return EnumNames<Verdict, 2>{{{Verdict::allow, "allow"}, {Verdict::deny, "deny"}}};
}

struct PolicySettings {
    std::optional<Verdict> by_default;
    std::optional<std::vector<Located<RuleSettings>>> rules;

    static constexpr auto fields()
    {
        return field_list(field("default", &PolicySettings::by_default, ""),
                          field("rules", &PolicySettings::rules, ""));
    }
};

// The user and the group that own a declared object. If they are absent, the user and the group of
// the daemon own the object.
struct OwnerSettings {
    std::optional<User> owner;
    std::optional<Group> group;

    static constexpr auto fields()
    {
        return field_list(field("owner", &OwnerSettings::owner, ""),
                          field("group", &OwnerSettings::group, ""));
    }
};

struct EventDeclaration {
    protocol::CreateEvent request;
    OwnerSettings owner;

    static constexpr std::string_view example = R"({"name": "a"})";
    static constexpr auto fields()
    {
        return field_list(part(&EventDeclaration::request, "lifetime", "ifMissing"),
                          part(&EventDeclaration::owner));
    }
};

// The times of a declared timer, in a form that is easy for people to write.
struct TimeSettings {
    std::optional<Duration> every;
    std::optional<Duration> in;
    std::optional<Timestamp> at;

    static constexpr auto fields()
    {
        return field_list(field("every", &TimeSettings::every, "As intervalNSec of Arm."),
                          field("in", &TimeSettings::in, "As afterNSec of Arm."),
                          field("at", &TimeSettings::at, "As firstNSec of Arm."));
    }
};

struct TimerDeclaration {
    protocol::Arm request; // The request to arm the timer, without the times.
    TimeSettings times;
    OwnerSettings owner;

    static constexpr std::string_view example = R"({"name": "a", "every": "1s"})";
    static constexpr auto fields()
    {
        return field_list(part(&TimerDeclaration::request, "firstNSec", "afterNSec", "intervalNSec",
                               "lifetime", "id"),
                          part(&TimerDeclaration::times), part(&TimerDeclaration::owner));
    }
};

// The contents of one configuration file.
struct FileSettings {
    std::optional<SocketMode> socket_mode;
    std::optional<log::Level> log_level;
    std::optional<Duration> resume_grace;
    std::optional<LimitSettings> limits;
    std::optional<std::vector<UserLimitSettings>> user_limits;
    std::optional<PolicySettings> policy;
    std::optional<std::vector<Located<EventDeclaration>>> events;
    std::optional<std::vector<Located<TimerDeclaration>>> timers;

    static constexpr auto fields()
    {
        return field_list(field("socketMode", &FileSettings::socket_mode, ""),
                          field("logLevel", &FileSettings::log_level, ""),
                          field("resumeGrace", &FileSettings::resume_grace, ""),
                          field("limits", &FileSettings::limits, ""),
                          field("userLimits", &FileSettings::user_limits, ""),
                          field("policy", &FileSettings::policy, ""),
                          field("events", &FileSettings::events, ""),
                          field("timers", &FileSettings::timers, ""));
    }
};

} // namespace evfd::daemon
