// Ping-pong: two processes that signal each other, through evfdd and through a baseline, in
// alternating batches. An `Endpoint` has set(), wait() and clear(). A peer waits for its own
// endpoints and sets those of the other peer.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/support/process.h"

#include <initializer_list>
#include <utility>
#include <vector>

namespace evfd::bench {

// Which endpoints a peer clears after its wake-up: its own, also the other peer's, or none.
enum class ClearAfterWake { own, both, none };

// One of the two processes of a ping-pong. A peer uses its endpoints in turn.
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

// Returns a vector of one element, whose type need not be copyable.
template <class Endpoint, class... Arguments>
std::vector<Endpoint> vector_of_one(Arguments&&... arguments)
{
    std::vector<Endpoint> all;
    all.emplace_back(std::forward<Arguments>(arguments)...);
    return all;
}

inline constexpr int rounds_per_batch = 400;
inline constexpr int batches_per_pair = 5; // The number for each side of a pair.

// Whether each peer is pinned to its own core, or the two peers stay on the present core.
enum class CorePlacement { separate, shared };
inline constexpr int any_core = -1;
// Pins a process to a core, or to no core for any_core. The process 0 is the calling process.
void pin_to_core(int core, pid_t process = 0);

// Pins this process and the servers that it calls to one core. A wake-up on another core takes as
// long as that core needs to leave its idle state, which would be measured as well.
class PinnedToOneCore {
public:
    explicit PinnedToOneCore(std::initializer_list<pid_t> servers)
    {
        pin_to_core(0);
        for (const auto server : servers)
            pin_to_core(0, server);
    }
    PinnedToOneCore(const PinnedToOneCore&) = delete;
    PinnedToOneCore& operator=(const PinnedToOneCore&) = delete;
    ~PinnedToOneCore() { pin_to_core(any_core); }
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
