// Address: the location of a daemon, and whether a connection may start it.
#pragma once

#include "client/core/close_on_fork_fd.h"
#include "client/core/ssh_transport.h"
#include "evfd/error.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace evfd {

struct Address {
    std::string path;
    bool starts_on_demand = false; // A per-user daemon: connect_to() starts it if none is running.
    std::optional<Remote> remote = {}; // Another machine. If present, the other fields are unused.

    static Address at(std::string path) { return {std::move(path), false, {}}; }
    static Address at(Remote remote) { return {{}, false, std::move(remote)}; }
    static Address system(); // The system daemon: /run/evfdd/io.evfdd.
    // The user's own daemon: $XDG_RUNTIME_DIR/evfdd/io.evfdd, or below /tmp.
    static Expected<Address> user();
    // The user's own daemon, if such a daemon may be running. Never starts one.
    static std::optional<Address> user_on_demand();
    // $EVFDD_SOCKET if set, else the system daemon if its socket exists, else the user's own
    // daemon. A set-user-ID program ignores the caller's environment: secure_getenv(3).
    static Expected<Address> usual();

    // Returns the same address without permission to start a daemon.
    Address without_autostart() const { return {path, false, remote}; }
    // Returns the time between attempts to reconnect to a daemon that is being restarted.
    int retry_interval_ms() const { return remote ? 1'000 : 5; }
};

// Returns the command that shows the log of the daemon at `path`, or "" if systemd does not run it.
std::string_view journal_command_for(std::string_view path);
// Returns the error message for a daemon at `path` that does not answer.
std::string no_reply_message(std::string_view path);

// Returns a connected non-blocking socket. Starts the daemon if the address allows it. no_daemon:
// no daemon answers at the address.
Expected<CloseOnForkFd> connect_to(const Address& address, ConnectMode mode = ConnectMode::initial);

} // namespace evfd
