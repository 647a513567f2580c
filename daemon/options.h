// The command line of evfdd.
#pragma once

#include "common/clock.h"

#include <sys/types.h>

#include <optional>
#include <string>

namespace evfd::daemon {

struct Options {
    std::string socket;                   // Empty: on the sockets that came with us.
    mode_t socket_mode = 0666;            // Of the socket file: who may connect.
    std::optional<nanoseconds> idle_exit; // End after so long without client and object.
    bool background = false;              // Go there once clients can connect.
    bool guard = false;                   // Be the daemon's parent.
    std::string log_level = "info";
};

// Ends the process for --help, --version and what cannot be understood.
Options parse_options(int argc, char** argv);

} // namespace evfd::daemon
