// Broker: a process of dbus-broker. The launcher of dbus-broker needs the D-Bus of a running
// systemd. Broker therefore does the work of the launcher: it sends the listening socket and the
// policy to dbus-broker.
#pragma once

#include "tests/bench/peers/clients.h"
#include "tests/support/process.h"

#include <string>

namespace evfd::bench {

class Broker {
public:
    Broker();

    pid_t pid() const { return process_.pid(); }
    const std::string& path() const { return path_; }

private:
    explicit Broker(std::pair<UniqueFd, UniqueFd> ends);
    void listen();

    e2e::TemporaryDirectory directory_;
    std::string path_;
    e2e::Process process_;
    Bus controller_; // dbus-broker exits when this connection closes.
};

} // namespace evfd::bench
