// PeerServer: the server of an alternative to evfdd, with its own directory.
#pragma once

#include "tests/bench/daemon_process.h"
#include "tests/support/process.h"

#include <functional>
#include <string>

namespace evfd::bench {

class PeerServer {
public:
    // A function that returns the command line of a server. The arguments are the server's
    // directory and the path of the server's socket.
    using CommandFactory =
        std::function<e2e::Command(const e2e::TemporaryDirectory&, const std::string&)>;
    // Starts the server, and returns when clients can connect.
    explicit PeerServer(const CommandFactory& make_command);

    pid_t pid() const { return process_.pid(); }
    const std::string& path() const { return path_; }
    const e2e::TemporaryDirectory& directory() const { return directory_; }

private:
    e2e::TemporaryDirectory directory_;
    std::string path_;
    e2e::Process process_;
};

PeerServer start_redis();
PeerServer start_dbus();
PeerServer start_fdholder();

} // namespace evfd::bench
