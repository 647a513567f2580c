// The daemon's configuration, from its configuration file and the files in conf.d beside it. A
// reload reads a new Config and applies it as a whole or not at all.
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
#include <string>
#include <vector>

namespace evfd::daemon {

// Path of the default file, which may be missing.
inline constexpr const char* default_config_path = "/etc/evfdd/evfdd.json";

// Owner and group of a declared object.
struct DeclaredOwner {
    uid_t uid;
    gid_t gid;
    friend bool operator==(const DeclaredOwner&, const DeclaredOwner&) = default;
};

// An object that the daemon creates at its start, as if a client had requested it. It is permanent,
// and an existing object is accepted.
template <class Request>
struct Declared {
    Request request;
    DeclaredOwner owner;
    friend bool operator==(const Declared&, const Declared&) = default;
};
using DeclaredEvent = Declared<protocol::CreateEvent>;
using DeclaredTimer = Declared<protocol::Arm>;

struct Config {
    mode_t socket_mode = 0666; // Mode of the socket file, which decides who may connect.
    log::Level log_level = log::Level::info;
    // How long the daemon keeps a session for its client after a restart.
    nanoseconds resume_grace = std::chrono::seconds{30};
    Limits limits = default_limits;
    // Limits of single users, which replace those in `limits`.
    std::map<uid_t, std::map<Resource, std::int64_t>> user_limits;
    Policy policy;                     // The rules of all files, in order.
    std::vector<DeclaredEvent> events; // No name occurs twice in these two lists.
    std::vector<DeclaredTimer> timers;
    // One sentence for each part that was ignored because it names an unknown user or group.
    std::vector<std::string> warnings;

    LimitTable limit_table() const;
    friend bool operator==(const Config&, const Config&) = default;
};

struct ConfigError {
    std::string file;
    std::size_t line; // 0: the whole file.
    std::string key;  // For example "events[2].mode"; empty if no key is at fault.
    std::string what; // Also says what to do.

    std::string message() const; // For example "/etc/evfdd/evfdd.json:12: limits.objects: ..."
};

enum class IfMissing { refuse, use_defaults };

// Reads the file at `path`, then each *.json in conf.d beside it, in the order of their names.
// Later keys override earlier ones; declared objects are added.
std::expected<Config, ConfigError> load_config(const std::string& path,
                                               IfMissing if_missing = IfMissing::refuse);
// Returns the paths of those files, in the same order.
std::expected<std::vector<std::string>, ConfigError> config_files(const std::string& path);

} // namespace evfd::daemon
