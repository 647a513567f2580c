// Which daemon to talk to, and how to start the user's own one when it is not there.
#pragma once

#include "client/evfd/error.h"
#include "common/unique_fd.h"

#include <string>

namespace evfd {

struct Address {
    std::string path;
    bool starts_on_demand = false; // A user's own daemon: started when nobody answers.

    static Address at(std::string path) { return {std::move(path), false}; }
    static Address system();    // The machine's: /run/evfdd/io.evfdd
    static Try<Address> user(); // The user's own: $XDG_RUNTIME_DIR/evfdd/io.evfdd, or in /tmp.
    // $EVFDD_SOCKET, else the machine's where it is there, else the user's own.
    static Try<Address> usual();
};

// A connected socket, non-blocking. Starts the daemon if the address says so. no_daemon: nobody
// answers there.
Try<UniqueFd> connect_to(const Address& address);

} // namespace evfd
