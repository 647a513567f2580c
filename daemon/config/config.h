// The daemon's configuration, which is read from its configuration file and the files in conf.d
// beside it. A reload reads a new Config and applies it as a whole or not at all.
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

// The path of the default configuration file, which does not have to exist.
inline constexpr const char* default_config_path = "/etc/evfdd/evfdd.json";

// The owner and the group of a declared object.
struct DeclaredOwner {
    uid_t uid;
    gid_t gid;
    friend bool operator==(const DeclaredOwner&, const DeclaredOwner&) = default;
};

// An object that the configuration declares. The daemon creates the object at its start, as if a
// client had requested it. The object is permanent. If an object with this name exists already, the
// daemon accepts that object.
template <class Request>
struct Declared {
    Request request;
    DeclaredOwner owner;
    friend bool operator==(const Declared&, const Declared&) = default;
};
using DeclaredEvent = Declared<protocol::CreateEvent>;
using DeclaredTimer = Declared<protocol::Arm>;

struct Config {
    // The mode of the socket file, which decides which users may connect.
    mode_t socket_mode = 0666;
    log::Level log_level = log::Level::info;
    // After a restart, the daemon keeps each session for this long, so that the client can resume
    // the session.
    nanoseconds resume_grace = std::chrono::seconds{30};
    Limits limits = default_limits;
    // The limits of individual users, which replace those in `limits`.
    std::map<uid_t, std::map<Resource, std::int64_t>> user_limits;
    Policy policy;                     // The rules of all files, in the order of the files.
    std::vector<DeclaredEvent> events; // No name occurs twice in `events` and `timers` together.
    std::vector<DeclaredTimer> timers;
    // One sentence for each part of the configuration that was ignored because it names an unknown
    // user or group.
    std::vector<std::string> warnings;

    LimitTable limit_table() const;
    friend bool operator==(const Config&, const Config&) = default;
};

struct ConfigError {
    std::string file;
    std::size_t line; // The line of the error; 0 if the whole file is at fault.
    std::string key;  // The key at fault, such as "events[2].mode"; empty if no key is at fault.
    std::string what; // The error, and what to do about it.

    // Returns, for example, "/etc/evfdd/evfdd.json:12: limits.objects: ...".
    std::string message() const;
};

enum class IfMissing { refuse, use_defaults };

// Reads the file at `path`, and after it each *.json in conf.d beside it, in the order of their
// names. A key in a later file overrides the same key of an earlier file. The rules and the
// declared objects of all files are kept.
std::expected<Config, ConfigError> load_config(const std::string& path,
                                               IfMissing if_missing = IfMissing::refuse);
// Returns the paths of the files that load_config() reads, in the order of reading.
std::expected<std::vector<std::string>, ConfigError> config_files(const std::string& path);

} // namespace evfd::daemon
