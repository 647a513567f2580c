#include "tests/bench/waking.h"

#include "common/eventfd.h"

#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include <cstdint>

namespace evfd::bench {

namespace {

using e2e::must;

constexpr int rounds = 400; // In a turn.
constexpr int turns = 5;    // Of each in a pair.

void stay_on(int processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(processor), &set);
    ::sched_setaffinity(0, sizeof set, &set); // On a machine of one core all are on it anyway.
}

// What is cleared by one who was woken.
enum class Clears { own, both, nothing };

// One of the two: hits the other's event and waits for its own. With several of them, by turns.
template <class One>
class Player {
public:
    Player(std::vector<One> own, std::vector<One> others, Clears clears)
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
    // So many times there and back.
    Measure serving()
    {
        return [this](Sample& sample) {
            for (int i = 0; i < rounds; ++i) {
                const auto begin = monotonic_now();
                hit();
                await();
                sample.push_back((monotonic_now() - begin) / 2);
            }
        };
    }
    void returning()
    {
        for (int i = 0; i < rounds; ++i) {
            await();
            hit();
        }
    }

private:
    std::vector<One> own_;
    std::vector<One> others_;
    Clears clears_;
    std::size_t turn_ = 0;
};

// By the library.
class Ours {
public:
    Ours(const Client& client, std::string_view name) : event_{must(client.open(name))} {}
    void set() const { must(event_.set()); }
    void wait() const { must(event_.wait()); }
    void clear() const
    {
        if (event_.mode() == Mode::manual) // The others were taken.
            must(event_.clear());
    }

private:
    Event event_;
};

// As one would write it.
class Bare {
public:
    explicit Bare(const UniqueFd& eventfd) : fd_{eventfd.get()} {}
    void set() const
    {
        const std::uint64_t one = 1;
        e2e::require(::write(fd_, &one, sizeof one) == sizeof one, "write(2)");
    }
    void wait() const
    {
        pollfd wanted{fd_, POLLIN, 0};
        while (::poll(&wanted, 1, -1) != 1) {
        }
    }
    void clear() const
    {
        std::uint64_t count = 0;
        e2e::require(::read(fd_, &count, sizeof count) == sizeof count, "read(2)");
    }

private:
    int fd_;
};

std::vector<Ours> open(const Client& client, const std::vector<std::string>& names)
{
    std::vector<Ours> all;
    for (const auto& name : names)
        all.emplace_back(client, name);
    return all;
}

struct Kind {
    std::string work;
    std::string against;
    double goal;
    Mode mode;
    bool may_only_wait = false; // The one that is woken.
};

std::vector<std::string> names_of(const Kind& kind)
{
    // Who may not clear looks at another one while it is cleared.
    return kind.may_only_wait ? std::vector<std::string>{"there/1", "there/2"}
                              : std::vector<std::string>{"there/1"};
}

Comparison wake(const House& house, int pairs, const Kind& kind)
{
    const auto client = house.client();
    const auto there_names = names_of(kind);
    const auto flavour = kind.mode == Mode::semaphore ? Counter::semaphore : Counter::plain;
    std::vector<UniqueFd> eventfds;
    for (std::size_t i = 0; i < there_names.size() + 1; ++i)
        eventfds.push_back(must(make_eventfd(0, flavour)));
    std::vector<std::string> names = there_names;
    names.emplace_back("back");
    for (const auto& name : names)
        (void)must(client.create(
            name,
            {.mode = name == "back" && kind.may_only_wait ? Mode::automatic : kind.mode,
             .rights = Rights::parse(name != "back" && kind.may_only_wait ? "0644" : "0666")}));

    const std::vector<Bare> bare_there{eventfds.begin(), eventfds.end() - 1};
    const std::vector<Bare> bare_back{Bare{eventfds.back()}};

    e2e::Worker worker{[&](const e2e::Line& line) {
        stay_on(1);
        if (kind.may_only_wait)
            e2e::become_stranger();
        const auto its = house.client();
        const auto clears = kind.may_only_wait ? Clears::nothing : Clears::own;
        Player<Ours> ours{open(its, there_names), open(its, {"back"}), clears};
        Player<Bare> bare{bare_there, bare_back, clears};
        line.say(0); // Is there.
        while (true) {
            const bool is_ours = line.hear() == 1;
            line.say(0); // Is ready.
            is_ours ? ours.returning() : bare.returning();
        }
    }};
    worker.hear();

    const auto turn_of = [&](bool is_ours, Measure measure) {
        return [&worker, is_ours, measure](Sample& sample) {
            worker.say(is_ours ? 1 : 0);
            worker.hear();
            measure(sample);
        };
    };
    const Comparison begun{.work = kind.work, .against = kind.against, .goal = kind.goal};
    const auto clears = kind.may_only_wait ? Clears::both : Clears::own;
    Player<Ours> ours{open(client, {"back"}), open(client, there_names), clears};
    Player<Bare> bare{bare_back, bare_there, clears};
    auto compared =
        compare(begun, pairs, turns, turn_of(true, ours.serving()), turn_of(false, bare.serving()));
    must(client.remove(names));
    return compared;
}

} // namespace

std::vector<Comparison> waking(const House& house, int pairs)
{
    stay_on(0);
    std::vector<Comparison> all;
    const auto raw = "write, poll, read of an eventfd";
    for (const auto& kind :
         {Kind{"set -> wake, auto", raw, 1.03, Mode::automatic},
          Kind{"set -> wake, semaphore", "the same with EFD_SEMAPHORE", 1.03, Mode::semaphore},
          Kind{"set -> wake, manual", raw, 1.2, Mode::manual},
          Kind{"set -> wake, manual, may only wait", raw, 1.3, Mode::manual, true}})
        if (!kind.may_only_wait || e2e::is_root())
            all.push_back(wake(house, pairs, kind));
    return all;
}

} // namespace evfd::bench
