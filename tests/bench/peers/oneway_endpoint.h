// OnewayEndpoint: uses an event by its name, and asks for no reply to a Set.
#pragma once

#include "common/envelope.h"
#include "tests/bench/daemon_process.h"

#include <sys/socket.h>

#include <string>
#include <vector>

namespace evfd::bench {

// set() sends the call over a connection of its own, and encodes it each time.
class OnewayEndpoint {
public:
    OnewayEndpoint(const DaemonProcess& daemon, const std::string& name)
        : socket_{connect_to(daemon.path())}, client_{daemon.client()}, names_{name}
    {
    }
    void set() const
    {
        std::string call;
        append_call(call, "io.evfdd.Set", R"({"items":[{"name":")" + names_.front() + R"("}]})",
                    ReplyMode::none);
        e2e::require(::send(socket_.get(), call.data(), call.size(), MSG_NOSIGNAL) ==
                         static_cast<ssize_t>(call.size()),
                     "send(2)");
    }
    void wait() const { (void)e2e::value_or_throw(client_.wait(names_)); }
    void clear() const {}

private:
    UniqueFd socket_;
    Client client_;
    std::vector<std::string> names_;
};

} // namespace evfd::bench
