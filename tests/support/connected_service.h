// A daemon without its listening socket. Clients connect by socketpairs. The code that creates a
// ConnectedService also runs its event loop.
#pragma once

#include "daemon/base/kernel_features.h"
#include "daemon/ipc/server.h"
#include "daemon/service/service.h"
#include "tests/support/stored_fds.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <regex>
#include <string>
#include <system_error>
#include <utility>

namespace evfd::daemon {

// Returns the text without the ids of objects, because the ids differ from daemon to daemon.
inline std::string without_ids(const std::string& text)
{
    static const std::regex id{R"(,"id":[0-9]+)"};
    return std::regex_replace(text, id, "");
}

// The daemon for unit tests and fuzzers: a server without a listening socket. connect() and
// accept() admit clients, whose identity the caller states.
class ConnectedService {
public:
    ConnectedService(LimitTable limits, EventfdIncrementer incrementer, DescriptorBudget budget)
        : state_store{loop},
          service{loop, std::move(limits), state_store, std::move(incrementer), budget}
    {
    }
    // Recovers the state that an earlier instance left in the descriptors `inherited`.
    ConnectedService(LimitTable limits, EventfdIncrementer incrementer, DescriptorBudget budget,
                     StateStore::Descriptors inherited, nanoseconds grace)
        : state_store{loop, std::move(inherited), recovered},
          service{loop, std::move(limits), state_store, std::move(incrementer), budget}
    {
        service.restore(std::move(recovered), grace);
    }

    // Connects a client with the identity `peer`. Returns the client's end, or an empty descriptor
    // if the daemon does not admit the client, for example because the user has no quota left.
    // Throws std::exception.
    UniqueFd connect(const Peer& peer)
    {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
            throw std::system_error{errno, std::generic_category(), "socketpair(2)"};
        UniqueFd far{ends[1]};
        return accept(peer, UniqueFd{ends[0]}) == Admission::admitted ? std::move(far) : UniqueFd{};
    }
    // Admits a client with the identity `peer`. `near` is the daemon's end of a socketpair.
    Admission accept(const Peer& peer, UniqueFd near)
    {
        return server_.admit(std::move(near), peer, IncomingFds::none);
    }
    std::size_t connections() const { return server_.connections(); }

    EventLoop loop;
    RecoveredState recovered;
    StateStore state_store;
    Service service;

private:
    Server server_{loop, service, KernelFeatures{}};
};

} // namespace evfd::daemon
