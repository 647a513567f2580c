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
    std::string socket; // The path to listen on. If empty, the daemon listens on inherited sockets.
    // The mode of the socket file, which decides which users can connect. If empty, the configured
    // mode is used.
    std::optional<mode_t> socket_mode;
    // If present, the daemon exits when it has had no clients and no objects for this time.
    std::optional<nanoseconds> idle_exit;
    // True if evfdd returns to its caller once clients can connect, and continues in the
    // background.
    bool background = false;
    bool supervise = false; // True if evfdd runs as the supervisor of the daemon.
    // The lowest level to log. If empty, the configured level is used.
    std::optional<log::Level> log_level;
    // The path of the configuration. If empty, the default file is read, if it exists.
    std::string config;
    // If present, evfdd only checks the configuration at this path, or the default file if the path
    // is empty.
    std::optional<std::string> check_config;
    // If not empty, evfdd only checks that no process listens at this path.
    std::string check_socket;
    // If present, evfdd only prints the records of the journal at this path.
    std::optional<std::string> print_journal;
    // The kernel features that a test wants to be treated as missing.
    std::vector<KernelFeature> disabled_features;
};

// Parses the command line. Exits the process for --help, --version and invalid command lines.
Options parse_options(int argc, char** argv);

} // namespace evfd::daemon
