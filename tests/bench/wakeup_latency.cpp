#include "tests/bench/wakeup_latency.h"

#include "common/eventfd.h"
#include "tests/bench/signal_endpoints.h"
#include "tests/bench/ping_pong.h"

namespace evfd::bench {

namespace {

using e2e::must;

enum class Language { cpp, c };

struct Kind {
    std::string work;
    std::string against;
    double goal;
    Mode mode;
    bool may_only_wait = false; // The one that answers.
    Language language = Language::cpp;
};

// In the process that plays with them.
std::vector<EventBall> open(const Client& client, const std::vector<std::string>& names)
{
    std::vector<EventBall> all;
    for (const auto& name : names)
        all.emplace_back(client, name);
    return all;
}

std::vector<CBall> open_in_c(const std::vector<std::string>& names)
{
    std::vector<CBall> all;
    for (const auto& name : names)
        all.emplace_back(name);
    return all;
}

Comparison wake(const House& house, int pairs, const Kind& kind)
{
    // Who may not clear looks at another one while it is cleared.
    const std::vector<std::string> there = kind.may_only_wait
                                               ? std::vector<std::string>{"there/1", "there/2"}
                                               : std::vector<std::string>{"there/1"};
    const std::vector<std::string> back{"back"};
    const auto client = house.client();
    const auto create = [&](const std::string& name, Mode mode, std::string_view rights) {
        (void)must(client.create(name, {.mode = mode, .rights = Rights::parse(rights)}));
    };
    for (const auto& name : there)
        create(name, kind.mode, kind.may_only_wait ? "0644" : "0666");
    create(back.front(), kind.may_only_wait ? Mode::automatic : kind.mode, "0666");

    const auto flavour = kind.mode == Mode::semaphore ? Counter::semaphore : Counter::plain;
    std::vector<UniqueFd> eventfds;
    for (std::size_t i = 0; i < there.size() + back.size(); ++i)
        eventfds.push_back(must(make_eventfd(0, flavour)));
    const std::vector<EventfdBall> bare_there{eventfds.begin(), eventfds.end() - 1};
    const std::vector<EventfdBall> bare_back{EventfdBall{eventfds.back()}};

    const auto clears = [&](Role role) {
        if (!kind.may_only_wait)
            return Clears::own;
        return role == Role::serves ? Clears::both : Clears::nothing;
    };
    const auto ours = [&](Role role) {
        const bool serves = role == Role::serves;
        if (!serves && kind.may_only_wait)
            e2e::become_stranger();
        const auto its = house.client();
        return Player<EventBall>{open(its, serves ? back : there), open(its, serves ? there : back),
                                 clears(role)};
    };
    const auto bare = [&](Role role) {
        const bool serves = role == Role::serves;
        return Player<EventfdBall>{serves ? bare_back : bare_there, serves ? bare_there : bare_back,
                                   clears(role)};
    };
    const auto in_c = [&](Role role) {
        const bool serves = role == Role::serves;
        CBall::checked(evfd_connect(house.path().c_str()));
        return Player<CBall>{open_in_c(serves ? back : there), open_in_c(serves ? there : back),
                             clears(role)};
    };
    const Comparison begun{.work = kind.work, .against = kind.against, .goal = kind.goal};
    auto compared = kind.language == Language::c ? play(begun, pairs, Cores::own, in_c, bare)
                                                 : play(begun, pairs, Cores::own, ours, bare);
    must(client.remove(there));
    must(client.remove(back));
    return compared;
}

} // namespace

std::vector<Comparison> waking(const House& house, int pairs)
{
    std::vector<Comparison> all;
    const auto raw = "write, poll, read of an eventfd";
    for (const auto& kind :
         {Kind{"set -> wake, auto", raw, 1.03, Mode::automatic},
          Kind{"set -> wake, semaphore", "the same with EFD_SEMAPHORE", 1.03, Mode::semaphore},
          Kind{"set -> wake, manual", raw, 1.2, Mode::manual},
          Kind{"set -> wake, manual, may only wait", raw, 1.3, Mode::manual, true},
          Kind{"set -> wake, auto, in C", raw, 1.03, Mode::automatic, false, Language::c},
          Kind{"set -> wake, semaphore, in C", "the same with EFD_SEMAPHORE", 1.03, Mode::semaphore,
               false, Language::c}})
        if (!kind.may_only_wait || e2e::is_root())
            all.push_back(wake(house, pairs, kind));
    return all;
}

} // namespace evfd::bench
