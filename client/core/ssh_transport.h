// A daemon on another machine: reached by ssh(1), which runs `evfdctl relay` there and passes on
// what it says. Only bytes come through, no descriptors.
#pragma once

#include "client/core/close_on_fork_fd.h"
#include "evfd/error.h"

#include <string>
#include <vector>

namespace evfd {

// Whether a daemon has answered there before: one that did is being restarted, and is waited for.
enum class ConnectMode { initial, reconnect };

struct Remote {
    // As ssh takes it: HOST or USER@HOST. invalid: it would be an option, or is empty.
    static Expected<Remote> at(std::string host);

    std::string host;
    std::string ssh = {};                  // For the shell: another command than `ssh`.
    std::vector<std::string> options = {}; // Of evfdctl there: which daemon of that machine.
};

// A connected socket, non-blocking, whose other end is such an ssh: a daemon has answered. What ssh
// and evfdctl there have to say goes to our standard error. no_daemon: there is no way to one.
Expected<CloseOnForkFd> connect_to(const Remote& remote, ConnectMode mode);

} // namespace evfd
