// Counters: the numbers of calls, refusals, disconnects and edges since the daemon's start.
#pragma once

#include "common/clock.h"
#include "common/protocol/protocol.h"
#include "daemon/access/refusal.h"

#include <array>
#include <cstdint>
#include <type_traits>
#include <variant>

namespace evfd::daemon {

template <class... A, class... B>
TypeList<A..., B...> joined(TypeList<A...>, TypeList<B...>);
using AllMethods =
    decltype(joined(protocol::Evfdd::Methods{}, protocol::VarlinkService::Methods{}));

template <class... Ts>
consteval std::size_t size_of(TypeList<Ts...>)
{
    return sizeof...(Ts);
}

template <class T, class... Ts>
consteval std::size_t position_among(TypeList<Ts...>)
{
    std::size_t position = 0;
    (void)((std::is_same_v<T, Ts> || (++position, false)) || ...);
    return position;
}

struct Counters {
    // How much state was recovered from an earlier daemon, and how long the recovery took.
    struct Recovery {
        std::int64_t objects = 0;
        std::int64_t subscriptions = 0;
        std::int64_t sessions = 0;
        std::int64_t losses = 0; // The number of reports about state that could not be recovered.
        nanoseconds time{0};
    };

    template <class Request>
    void count_call()
    {
        ++calls[position_among<Request>(AllMethods{})];
    }
    void count(const Refusal& refusal) { ++refusals[refusal.reason().index()]; }

    std::array<std::uint64_t, size_of(AllMethods{})> calls{};
    std::array<std::uint64_t, std::variant_size_v<Reason>> refusals{};
    // The number of clients that the daemon disconnected because of what they sent or did not read.
    std::uint64_t disconnects = 0;
    std::uint64_t rejected = 0;
    // The number of edges of watched events. An edge is a write or a read by any process.
    std::uint64_t edges = 0;
    Recovery recovery;
};

} // namespace evfd::daemon
