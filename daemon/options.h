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
    std::string socket; // Empty: on the sockets that came with us.
    // Of the socket file: who may connect. Without it, as configured.
    std::optional<mode_t> socket_mode;
    std::optional<nanoseconds> idle_exit; // End after so long without client and object.
    bool background = false;              // Go there once clients can connect.
    bool supervise = false;                   // Be the daemon's parent.
    std::optional<log::Level> log_level;  // Without it, as configured.
    std::string config;                   // Empty: at its usual place, if it is there.
    // Only see whether this one is sound; empty: the one that a daemon would read.
    std::optional<std::string> check_config;
    std::string check_socket; // Not empty: only see whether nobody listens there.
    std::vector<KernelFeature> disabled_features; // For tests: as if the kernel did not have these.
};

// Ends the process for --help, --version and what cannot be understood.
Options parse_options(int argc, char** argv);

} // namespace evfd::daemon
