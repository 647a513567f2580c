// Two processes that set each other off, there and back: what that takes by us and by something
// else, by turns. A `Ball` has set(), wait() and clear(): one's own is waited for, the other's is
// set.
#pragma once

#include "tests/bench/comparison.h"
#include "tests/support/process.h"

#include <initializer_list>
#include <utility>
#include <vector>

namespace evfd::bench {

// What is cleared by one who was woken.
enum class ClearAfterWake { own, both, none };

// One of the two. With several balls, by turns.
template <class Ball>
class PingPongPeer {
public:
    PingPongPeer(std::vector<Ball> own, std::vector<Ball> others, ClearAfterWake clears)
        : own_{std::move(own)}, remote_{std::move(others)}, clear_{clears}
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
    std::vector<Ball> own_;
    std::vector<Ball> remote_;
    ClearAfterWake clear_;
    std::size_t round_ = 0;
};

// Of vectors that can only be moved into.
template <class Ball, class... Arguments>
std::vector<Ball> vector_of_one(Arguments&&... arguments)
{
    std::vector<Ball> all;
    all.emplace_back(std::forward<Arguments>(arguments)...);
    return all;
}

inline constexpr int rounds_per_batch = 400; // In a turn.
inline constexpr int batches_per_pair = 5;   // Of each.

// Whether each of the two stays on a core of its own, or both where they are.
enum class CorePlacement { separate, shared };
inline constexpr int any_core = -1;
void pin_to_core(int core, pid_t process = 0); // 0: this one.

// One core for a client and all whom it calls, one after the other: who has to be woken on another
// one takes as long as that one slept deeply, which has nothing to do with what is measured.
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

template <class Ball>
void initiate(PingPongPeer<Ball>& peer, Sample& sample)
{
    for (int i = 0; i < rounds_per_batch; ++i) {
        const auto begin = monotonic_now();
        peer.signal();
        peer.await();
        sample.push_back((monotonic_now() - begin) / 2);
    }
}

template <class Ball>
void respond(PingPongPeer<Ball>& peer)
{
    for (int i = 0; i < rounds_per_batch; ++i) {
        peer.await();
        peer.signal();
    }
}

// Who is the other one.
enum class Role { initiator, responder };

// Each maker is called once in each of the two processes, with its role there.
template <class MakeOurs, class MakeOther>
Comparison ping_pong(Comparison comparison, int pairs, CorePlacement cores, MakeOurs make_ours,
                     MakeOther make_baseline)
{
    e2e::Worker worker{[&](const e2e::WorkerSocket& line) {
        if (cores == CorePlacement::separate)
            pin_to_core(1);
        auto ours = make_ours(Role::responder);
        auto other = make_baseline(Role::responder);
        line.send(0); // Is there.
        while (true) {
            const bool is_ours = line.receive() == 1;
            line.send(0); // Is ready.
            is_ours ? respond(ours) : respond(other);
        }
    }};
    if (cores == CorePlacement::separate)
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
    if (cores == CorePlacement::separate)
        pin_to_core(any_core);
    return compared;
}

} // namespace evfd::bench
