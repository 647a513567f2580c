// The command line of evfdd.
#pragma once

#include "common/clock.h"
#include "daemon/base/kernel_features.h"
#include "daemon/base/log.h"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

struct Options {
    std::string socket; // Path to listen on; empty: on the inherited sockets.
    // Mode of the socket file, which decides who may connect. Without it, the configured mode.
    std::optional<mode_t> socket_mode;
    std::optional<nanoseconds> idle_exit; // Exit after this time without clients and objects.
    bool background = false;              // Continue in the background once clients can connect.
    bool supervise = false;               // Run as the daemon's supervisor.
    std::optional<log::Level> log_level;  // Without it, the configured level.
    std::string config; // Path of the configuration; empty: the default file, if it exists.
    // Only check this configuration; empty: the one that a daemon would read.
    std::optional<std::string> check_config;
    std::string check_socket; // If not empty: only check that nobody listens there.
    std::vector<KernelFeature> disabled_features; // For tests: features to treat as missing.
};

// Exits the process for --help, --version and invalid command lines.
Options parse_options(int argc, char** argv);

} // namespace evfd::daemon
