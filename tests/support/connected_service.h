// All of a daemon but its listening socket: clients come by socketpairs, and whoever has it turns
// its loop.
#pragma once

#include "common/json.h"
#include "daemon/ipc/connection.h"
#include "daemon/service/service.h"
#include "daemon/ipc/fair_scheduler.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

namespace evfd::daemon {

// What a guardian has of a vault.
inline Vault::Descriptors kept_of(const Vault& vault)
{
    Vault::Descriptors kept;
    const auto descriptors = vault.descriptors();
    for (std::size_t i = 0; i < kept.size(); ++i)
        kept[i] = UniqueFd{::fcntl(descriptors[i], F_DUPFD_CLOEXEC, 3)};
    return kept;
}

class ConnectedService {
public:
    ConnectedService(Ceilings ceilings, Adder adder, DescriptorBudget budget)
        : vault{loop}, service{loop, std::move(ceilings), vault, std::move(adder), budget}
    {
    }
    // Of what an earlier one left.
    ConnectedService(Ceilings ceilings, Adder adder, DescriptorBudget budget,
                     Vault::Descriptors kept, nanoseconds grace)
        : vault{loop, std::move(kept), left},
          service{loop, std::move(ceilings), vault, std::move(adder), budget}
    {
        service.restore(std::move(left), grace);
    }

    // The far end; none if the user has too many. Throws std::exception.
    UniqueFd connect(const Peer& peer)
    {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
            throw std::system_error{errno, std::generic_category(), "socketpair(2)"};
        UniqueFd far{ends[1]};
        return accept(peer, UniqueFd{ends[0]}) ? std::move(far) : UniqueFd{};
    }
    // One that somebody else made; whether the user may have it.
    bool accept(const Peer& peer, UniqueFd near)
    {
        auto dues = service.admit(peer);
        if (!dues)
            return false;
        const auto id = service.new_session_id();
        auto connection = std::make_unique<Connection>(loop, turns_, service, scratch_,
                                                       std::move(near), Descriptors::none,
                                                       Session{id, peer, {}, {}}, *std::move(dues));
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
    Left left;
    Vault vault;
    Service service;

private:
    void turn(std::uint64_t id)
    {
        const auto found = connections_.find(id);
        if (found != connections_.end() && found->second->turn() == Next::close)
            connections_.erase(found);
    }

    json::Document scratch_;
    Turns turns_{loop, service.quota(), [this](std::uint64_t id) { turn(id); }};
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;
};

} // namespace evfd::daemon
