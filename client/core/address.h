// Address: the location of a daemon, and whether a client starts it on demand.
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
    // Whether connect_to() starts a daemon if none is running. Used only for the user's own daemon.
    bool starts_on_demand = false;
    // The machine on which the daemon runs, if it is not this machine. If this field is present,
    // the other fields are unused.
    std::optional<Remote> remote = {};

    static Address at(std::string path) { return {std::move(path), false, {}}; }
    static Address at(Remote remote) { return {{}, false, std::move(remote)}; }
    static Address system(); // Returns the address of the system daemon, /run/evfdd/io.evfdd.
    // Returns the address of the user's own daemon: $XDG_RUNTIME_DIR/evfdd/io.evfdd, or a path
    // below /tmp if the variable is not set.
    static Expected<Address> user();
    // Returns the address of the user's own daemon, or nothing if that daemon is not running or was
    // started by systemd. Never starts a daemon.
    static std::optional<Address> user_on_demand();
    // Returns the address in $EVFDD_SOCKET if that variable is set. If not, returns the address of
    // the system daemon if its socket exists, else the address of the user's own daemon. A
    // set-user-ID program ignores the caller's environment: secure_getenv(3).
    static Expected<Address> usual();

    // Returns a copy of this address with which connect_to() does not start a daemon.
    Address without_autostart() const { return {path, false, remote}; }
    // Returns the time between attempts to reconnect to a daemon that is being restarted.
    int retry_interval_ms() const { return remote ? 1'000 : 5; }
};

// Returns the command that shows the log of the daemon at `path`, or "" if systemd does not run
// that daemon.
std::string_view journal_command_for(std::string_view path);
// Returns the error message for a daemon at `path` that does not answer.
std::string no_reply_message(std::string_view path);

// Returns a connected non-blocking socket. Starts the daemon if the address allows it. Fails with
// `no_daemon` if no daemon answers at the address.
Expected<CloseOnForkFd> connect_to(const Address& address, ConnectMode mode = ConnectMode::initial);

} // namespace evfd
