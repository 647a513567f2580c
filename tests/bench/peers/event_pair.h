// EventPair: two events of evfdd, as endpoints of a ping-pong.
#pragma once

#include "tests/bench/daemon_process.h"
#include "tests/bench/peers/oneway_endpoint.h"
#include "tests/bench/ping_pong.h"
#include "tests/bench/signal_endpoints.h"

#include <utility>
#include <vector>

namespace evfd::bench {

// Returns a function that makes the two peers. `make(name, is_own)` returns an endpoint.
template <class Endpoint, class Make>
auto make_peers(Make make)
{
    return [make](Role role) {
        const bool initiates = role == Role::initiator;
        std::vector<Endpoint> own;
        std::vector<Endpoint> remote;
        own.push_back(make(initiates ? "pong" : "ping", true));
        remote.push_back(make(initiates ? "ping" : "pong", false));
        return PingPongPeer<Endpoint>{std::move(own), std::move(remote), ClearAfterWake::none};
    };
}

// The two events of a ping-pong, and the daemon that has only these events.
class EventPair {
public:
    EventPair(const DaemonSettings& settings, Mode mode) : daemon_{settings}
    {
        for (const auto* name : {"ping", "pong"})
            (void)e2e::value_or_throw(client_.create(name, {.mode = mode}));
        daemon_.recover_if_requested();
    }
    auto by_name() const
    {
        return make_peers<NameEndpoint>(
            [this](const char* name, bool) { return NameEndpoint{daemon_.client(), name}; });
    }
    auto by_name_oneway() const
    {
        return make_peers<OnewayEndpoint>(
            [this](const char* name, bool) { return OnewayEndpoint{daemon_, name}; });
    }
    pid_t pid() const { return daemon_.pid(); }
    auto by_descriptor() const
    {
        return make_peers<EventEndpoint>(
            [this](const char* name, bool) { return EventEndpoint{daemon_.client(), name}; });
    }

private:
    DaemonProcess daemon_;
    Client client_ = daemon_.client();
};

} // namespace evfd::bench
