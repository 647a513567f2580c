// The servers that evfdd is measured beside, each in a directory of its own as long as it lives.
#pragma once

#include "tests/bench/daemon_process.h"
#include "tests/support/process.h"

#include <functional>
#include <string>

namespace evfd::bench {

class PeerServer {
public:
    // Its command line, told the path of its socket. Clients can connect once it is there.
    using CommandAt =
        std::function<e2e::Command(const e2e::TemporaryDirectory&, const std::string&)>;
    explicit PeerServer(const CommandAt& command);

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
