// Ping-pong: two processes, the peers, signal each other. A peer waits for its own endpoints and
// sets the endpoints of the other peer. The template parameter `Endpoint` is a class with the
// functions set(), wait() and clear(). The measurement alternates between batches with evfdd and
// batches with a baseline.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/support/process.h"

#include <initializer_list>
#include <utility>
#include <vector>

namespace evfd::bench {

// Which endpoints a peer clears after a wake-up. `own`: the endpoint on which the peer waited.
// `both`: also the endpoint of the other peer. `none`: no endpoint.
enum class ClearAfterWake { own, both, none };

// One of the two processes of a ping-pong. A peer with several endpoints uses a different endpoint
// in each round, in turn.
template <class Endpoint>
class PingPongPeer {
public:
    PingPongPeer(std::vector<Endpoint> own, std::vector<Endpoint> remote, ClearAfterWake clear)
        : own_{std::move(own)}, remote_{std::move(remote)}, clear_{clear}
    {
    }
    void signal() { remote_[round_ % remote_.size()].set(); }
    void wait()
    {
        auto& own = own_[round_ % own_.size()];
        own.wait();
        if (clear_ != ClearAfterWake::none)
            own.clear();
        if (clear_ == ClearAfterWake::both)
            remote_[round_ % remote_.size()].clear();
        ++round_;
    }

private:
    std::vector<Endpoint> own_;
    std::vector<Endpoint> remote_;
    ClearAfterWake clear_;
    std::size_t round_ = 0;
};

// Returns a vector of one element. Unlike an initializer list, this function also works for a type
// that cannot be copied.
template <class Endpoint, class... Arguments>
std::vector<Endpoint> vector_of_one(Arguments&&... arguments)
{
    std::vector<Endpoint> all;
    all.emplace_back(std::forward<Arguments>(arguments)...);
    return all;
}

inline constexpr int rounds_per_batch = 400;
// A pair is one sample of evfdd and one sample of the baseline. Each sample has the times of this
// many batches.
inline constexpr int batches_per_pair = 5;

// `separate`: each peer is pinned to its own core. `shared`: the peers stay on the core to which
// the caller has pinned this process.
enum class CorePlacement { separate, shared };
inline constexpr int any_core = -1;
// Pins a process to a core. With any_core, the process can run on every core again. The process id
// 0 means the calling process.
void pin_to_core(int core, pid_t process = 0);

// Pins this process to the first core, and servers to one core.
class Pinned {
public:
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
    ~Pinned() { pin_to_core(any_core); }

protected:
    Pinned(int core_of_servers, std::initializer_list<pid_t> servers)
    {
        pin_to_core(0);
        for (const auto server : servers)
            pin_to_core(core_of_servers, server);
    }
};

// Pins this process and the given servers to one core. On several cores, the measured times would
// include the time that an idle core needs to leave its idle state.
struct PinnedToOneCore : Pinned {
    explicit PinnedToOneCore(std::initializer_list<pid_t> servers) : Pinned{0, servers} {}
};

// Pins this process to one core and the servers to another, as far as the machine has two. For a
// comparison of two servers with each other, or for the CPU time of one server.
struct PinnedApart : Pinned {
    explicit PinnedApart(std::initializer_list<pid_t> servers) : Pinned{1, servers} {}
};

template <class Endpoint>
void initiate(PingPongPeer<Endpoint>& peer, Sample& sample)
{
    for (int i = 0; i < rounds_per_batch; ++i) {
        const auto begin = monotonic_now();
        peer.signal();
        peer.wait();
        sample.push_back((monotonic_now() - begin) / 2);
    }
}

template <class Endpoint>
void respond(PingPongPeer<Endpoint>& peer)
{
    for (int i = 0; i < rounds_per_batch; ++i) {
        peer.wait();
        peer.signal();
    }
}

// The role of a process in a ping-pong. The initiator signals first and measures the times.
enum class Role { initiator, responder };

// Measures round trips. `make_ours` and `make_baseline` return a PingPongPeer. Each process calls
// each of these two functions once, with its own role.
template <class MakeOurs, class MakeBaseline>
Comparison ping_pong(Comparison comparison, int pairs, CorePlacement placement, MakeOurs make_ours,
                     MakeBaseline make_baseline)
{
    e2e::Worker worker{[&](const e2e::WorkerSocket& socket) {
        if (placement == CorePlacement::separate)
            pin_to_core(1);
        auto ours = make_ours(Role::responder);
        auto baseline = make_baseline(Role::responder);
        socket.send(0); // Reports that the endpoints exist.
        while (true) {
            const bool is_ours = socket.receive() == 1;
            socket.send(0); // Reports that this process is ready to respond.
            is_ours ? respond(ours) : respond(baseline);
        }
    }};
    if (placement == CorePlacement::separate)
        pin_to_core(0);
    auto ours = make_ours(Role::initiator);
    auto baseline = make_baseline(Role::initiator);
    worker.receive();
    const auto begin = [&](bool is_ours) {
        worker.send(is_ours ? 1 : 0);
        worker.receive();
    };
    auto compared = compare(
        std::move(comparison), pairs, batches_per_pair,
        [&](Sample& sample) {
            begin(true);
            initiate(ours, sample);
        },
        [&](Sample& sample) {
            begin(false);
            initiate(baseline, sample);
        });
    if (placement == CorePlacement::separate)
        pin_to_core(any_core);
    return compared;
}

} // namespace evfd::bench
