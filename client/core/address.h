// Which daemon to talk to, and how to start the user's own one when it is not there.
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
    bool starts_on_demand = false;     // A user's own daemon: started when nobody answers.
    std::optional<Remote> remote = {}; // On another machine: then that alone counts.

    static Address at(std::string path) { return {std::move(path), false, {}}; }
    static Address at(Remote remote) { return {{}, false, std::move(remote)}; }
    static Address system();         // The machine's: /run/evfdd/io.evfdd
    static Expected<Address> user(); // The user's own: $XDG_RUNTIME_DIR/evfdd/io.evfdd, or in /tmp.
    // The user's own where one that was started on demand may be running; starts none.
    static std::optional<Address> user_on_demand();
    // $EVFDD_SOCKET, else the machine's where it is there, else the user's own. A program with more
    // rights than its caller (set-user-ID) does not go by his environment. secure_getenv(3)
    static Expected<Address> usual();

    // The same, where no daemon is started.
    Address without_autostart() const { return {path, false, remote}; }
    // How long to wait between attempts while a daemon that was there is gone.
    int retry_interval_ms() const { return remote ? 1'000 : 5; }
};

// For users: how to see what became of the daemon that listens at `path`, if systemd runs it. Empty
// for a daemon elsewhere.
std::string_view journal_command_for(std::string_view path);
// The same in a sentence, of one that does not answer.
std::string no_reply_message(std::string_view path);

// A connected socket, non-blocking. Starts the daemon if the address says so. no_daemon: nobody
// answers there.
Expected<CloseOnForkFd> connect_to(const Address& address, ConnectMode mode = ConnectMode::initial);

} // namespace evfd
