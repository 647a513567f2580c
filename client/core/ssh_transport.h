// Connection to a daemon on another machine. ssh(1) runs `evfdctl relay` there, which copies bytes
// between its standard input and output and the daemon. Descriptors cannot be passed.
#pragma once

#include "client/core/close_on_fork_fd.h"
#include "evfd/error.h"

#include <string>
#include <vector>

namespace evfd {

// `reconnect`: a daemon has answered there before. It may be restarting, so the relay waits for it.
enum class ConnectMode { initial, reconnect };

struct Remote {
    // Makes an address from HOST or USER@HOST, as ssh takes it. invalid: it is empty, or ssh would
    // take it for an option.
    static Expected<Remote> at(std::string host);

    std::string host;
    std::string ssh = {}; // A shell command to run in place of `ssh`.
    // Options of the remote evfdctl that select the daemon there.
    std::vector<std::string> options = {};
};

// Returns a connected non-blocking socket to a daemon that has answered. ssh and the remote evfdctl
// write their errors to our standard error. no_daemon: no daemon could be reached.
Expected<CloseOnForkFd> connect_to(const Remote& remote, ConnectMode mode);

} // namespace evfd
