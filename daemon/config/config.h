// What the daemon is told by its configuration file and by the files in conf.d beside it. A reload
// reads a new Config, and takes the whole of it or nothing.
#pragma once

#include "common/protocol/protocol.h"
#include "daemon/access/policy.h"
#include "daemon/access/quota.h"
#include "daemon/base/log.h"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace evfd::daemon {

// Where it stands if none is named; it need not be there.
inline constexpr const char* default_config_path = "/etc/evfdd/evfdd.json";
inline constexpr std::size_t max_config_bytes = 1024 * 1024; // Of each file.

// Whose a declared object is.
struct DeclaredOwner {
    uid_t uid;
    gid_t gid;
    friend bool operator==(const DeclaredOwner&, const DeclaredOwner&) = default;
};

// Objects that are there from the start, as if someone had asked for them.
struct DeclaredEvent {
    protocol::CreateEvent request; // Permanent, and one that is there already is as good.
    DeclaredOwner owner;
    friend bool operator==(const DeclaredEvent& a, const DeclaredEvent& b);
};
struct DeclaredTimer {
    protocol::Arm request; // Permanent.
    DeclaredOwner owner;
    friend bool operator==(const DeclaredTimer& a, const DeclaredTimer& b);
};

struct Config {
    mode_t socket_mode = 0666; // Of the socket file: who may connect.
    log::Level log_level = log::Level::info;
    // How long what belonged to a client's connection waits for that client after a restart.
    nanoseconds resume_grace = std::chrono::seconds{30};
    Limits limits = default_limits;
    // What these users have instead; of the rest they have what all have.
    std::map<uid_t, std::map<Resource, std::int64_t>> user_limits;
    Policy policy;                     // The rules of all files, in their order.
    std::vector<DeclaredEvent> events; // No name is twice among these two.
    std::vector<DeclaredTimer> timers;
    // A sentence each: what was left out, as it names a user or a group who does not exist.
    std::vector<std::string> warnings;

    LimitTable limit_table() const;
    friend bool operator==(const Config&, const Config&) = default;
};

struct ConfigError {
    std::string file;
    std::size_t line; // 0: the file as a whole.
    std::string key;  // "events[2].mode"; empty where none is to blame.
    std::string what; // And what to do.

    std::string message() const; // One sentence: "/etc/evfdd/evfdd.json:12: limits.objects: ..."
};

enum class IfMissing { refuse, use_defaults };

// The file at `path`, and then each *.json in conf.d beside it in the order of their names: later
// keys override, declared objects are added.
std::expected<Config, ConfigError> load_config(const std::string& path,
                                               IfMissing if_missing = IfMissing::refuse);
// Those files, in that order.
std::expected<std::vector<std::string>, ConfigError> config_files(const std::string& path);

// Every key there is: "limits.objects", "events[].name".
std::vector<std::string> config_keys();

// "0660", as in chmod(1).
std::optional<mode_t> parse_socket_mode(std::string_view text);

} // namespace evfd::daemon
