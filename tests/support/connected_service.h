// A daemon without its listening socket. Clients connect by socketpairs, and the owner runs the
// loop.
#pragma once

#include "common/json.h"
#include "daemon/ipc/connection.h"
#include "daemon/ipc/fair_scheduler.h"
#include "daemon/service/service.h"
#include "tests/support/stored_fds.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <regex>
#include <string>
#include <system_error>
#include <utility>

namespace evfd::daemon {

// Returns the text without the ids of objects, because no two daemons give the same ones.
inline std::string without_ids(const std::string& text)
{
    static const std::regex id{R"(,"id":[0-9]+)"};
    return std::regex_replace(text, id, "");
}

// The daemon for unit tests and fuzzers. It owns the connections as the server does, but accepts
// none by itself: connect() and accept() create them.
class ConnectedService {
public:
    ConnectedService(LimitTable limits, EventfdIncrementer incrementer, DescriptorBudget budget)
        : state_store{loop},
          service{loop, std::move(limits), state_store, std::move(incrementer), budget}
    {
    }
    // Recovers the state that an earlier instance left.
    ConnectedService(LimitTable limits, EventfdIncrementer incrementer, DescriptorBudget budget,
                     StateStore::Descriptors inherited, nanoseconds grace)
        : state_store{loop, std::move(inherited), recovered},
          service{loop, std::move(limits), state_store, std::move(incrementer), budget}
    {
        service.restore(std::move(recovered), grace);
    }

    // Returns the client's end, or an empty descriptor if the user is at its limit. Throws
    // std::exception.
    UniqueFd connect(const Peer& peer)
    {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
            throw std::system_error{errno, std::generic_category(), "socketpair(2)"};
        UniqueFd far{ends[1]};
        return accept(peer, UniqueFd{ends[0]}) ? std::move(far) : UniqueFd{};
    }
    // Adopts the daemon's end of a socketpair. Returns false if the user is at its limit.
    bool accept(const Peer& peer, UniqueFd near)
    {
        auto charges = service.admit(peer);
        if (!charges)
            return false;
        const auto id = service.new_session_id();
        auto connection = std::make_unique<Connection>(
            loop, scheduler_, service, document_, std::move(near), IncomingFds::none,
            Session{id, peer, {}, {}}, *std::move(charges));
        connection
            ->attach([this, id](std::uint32_t events) {
                if (connections_.at(id)->on_events(events) == Next::close)
                    connections_.erase(id);
            })
            .value();
        connections_.emplace(id, std::move(connection));
        return true;
    }
    std::size_t connections() const { return connections_.size(); }

    EventLoop loop;
    RecoveredState recovered;
    StateStore state_store;
    Service service;

private:
    void serve(std::uint64_t id)
    {
        const auto found = connections_.find(id);
        if (found != connections_.end() && found->second->serve() == Next::close)
            connections_.erase(found);
    }

    json::Document document_;
    FairScheduler scheduler_{loop, service.quota(), [this](std::uint64_t id) { serve(id); }};
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
};

} // namespace evfd::daemon
