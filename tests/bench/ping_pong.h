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
enum class Clears { own, both, nothing };

// One of the two. With several balls, by turns.
template <class Ball>
class Player {
public:
    Player(std::vector<Ball> own, std::vector<Ball> others, Clears clears)
        : own_{std::move(own)}, others_{std::move(others)}, clears_{clears}
    {
    }
    void hit() { others_[turn_ % others_.size()].set(); }
    void await()
    {
        auto& own = own_[turn_ % own_.size()];
        own.wait();
        if (clears_ != Clears::nothing)
            own.clear();
        if (clears_ == Clears::both)
            others_[turn_ % others_.size()].clear();
        ++turn_;
    }

private:
    std::vector<Ball> own_;
    std::vector<Ball> others_;
    Clears clears_;
    std::size_t turn_ = 0;
};

// Of vectors that can only be moved into.
template <class Ball, class... Arguments>
std::vector<Ball> one(Arguments&&... arguments)
{
    std::vector<Ball> all;
    all.emplace_back(std::forward<Arguments>(arguments)...);
    return all;
}

inline constexpr int rounds = 400;     // In a turn.
inline constexpr int turns_a_pair = 5; // Of each.

// Whether each of the two stays on a core of its own, or both where they are.
enum class Cores { own, one };
inline constexpr int any_core = -1;
void stay_on_core(int core, pid_t process = 0); // 0: this one.

// One core for a client and all whom it calls, one after the other: who has to be woken on another
// one takes as long as that one slept deeply, which has nothing to do with what is measured.
class OneCore {
public:
    explicit OneCore(std::initializer_list<pid_t> servers)
    {
        stay_on_core(0);
        for (const auto server : servers)
            stay_on_core(0, server);
    }
    OneCore(const OneCore&) = delete;
    OneCore& operator=(const OneCore&) = delete;
    ~OneCore() { stay_on_core(any_core); }
};

template <class Ball>
void serve(Player<Ball>& player, Sample& sample)
{
    for (int i = 0; i < rounds; ++i) {
        const auto begin = monotonic_now();
        player.hit();
        player.await();
        sample.push_back((monotonic_now() - begin) / 2);
    }
}

template <class Ball>
void answer(Player<Ball>& player)
{
    for (int i = 0; i < rounds; ++i) {
        player.await();
        player.hit();
    }
}

// Who is the other one.
enum class Role { serves, answers };

// Each maker is called once in each of the two processes, with its role there.
template <class MakeOurs, class MakeOther>
Comparison play(Comparison begun, int pairs, Cores cores, MakeOurs make_ours, MakeOther make_other)
{
    e2e::Worker worker{[&](const e2e::Line& line) {
        if (cores == Cores::own)
            stay_on_core(1);
        auto ours = make_ours(Role::answers);
        auto other = make_other(Role::answers);
        line.say(0); // Is there.
        while (true) {
            const bool is_ours = line.hear() == 1;
            line.say(0); // Is ready.
            is_ours ? answer(ours) : answer(other);
        }
    }};
    if (cores == Cores::own)
        stay_on_core(0);
    auto ours = make_ours(Role::serves);
    auto other = make_other(Role::serves);
    worker.hear();
    const auto begin = [&](bool is_ours) {
        worker.say(is_ours ? 1 : 0);
        worker.hear();
    };
    auto compared = compare(
        std::move(begun), pairs, turns_a_pair,
        [&](Sample& sample) {
            begin(true);
            serve(ours, sample);
        },
        [&](Sample& sample) {
            begin(false);
            serve(other, sample);
        });
    if (cores == Cores::own)
        stay_on_core(any_core);
    return compared;
}

} // namespace evfd::bench
