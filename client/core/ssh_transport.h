// Connects to a daemon on another machine. On that machine, ssh(1) runs `evfdctl relay`, which
// copies bytes from standard input to the daemon, and from the daemon to standard output.
// Descriptors cannot be passed to or from another machine.
#pragma once

#include "client/core/close_on_fork_fd.h"
#include "evfd/error.h"

#include <string>
#include <vector>

namespace evfd {

// `reconnect` means that a daemon has answered at this address before. That daemon is possibly
// restarting, so the relay waits for it.
enum class ConnectMode { initial, reconnect };

struct Remote {
    // Makes an address from HOST or USER@HOST, in the form that ssh(1) accepts. Fails with
    // `invalid` if the text is empty, or if ssh would take it for an option.
    static Expected<Remote> at(std::string host);

    std::string host;
    std::string ssh = {}; // A shell command to run instead of `ssh`, if not empty.
    // The options of evfdctl that select a daemon on the remote machine.
    std::vector<std::string> options = {};
};

// Returns a connected non-blocking socket to a daemon that has answered. ssh and the remote evfdctl
// write their errors to our standard error. Fails with `no_daemon` if no daemon can be reached.
Expected<CloseOnForkFd> connect_to(const Remote& remote, ConnectMode mode);

} // namespace evfd
