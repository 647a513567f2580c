#include "daemon/service/pending_set.h"

#include "daemon/service/pending_clear.h"
#include "daemon/objects/cooldowns.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>
#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";
constexpr std::int64_t many = 5'000; // More than there is time for in one turn.

// Makes each addition to an event wake many.
class Crowd {
public:
    explicit Crowd(const UniqueFd& event)
    {
        for (int i = 0; i < 100; ++i) {
            auto& copy = copies_.emplace_back(*duplicate(event));
            epoll_event wanted{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {}};
            REQUIRE(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, copy.get(), &wanted) == 0);
        }
    }

private:
    UniqueFd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<UniqueFd> copies_;
};

Event& event(Daemon& daemon, std::string_view name)
{
    return *daemon.service.registry().find(*Name::parse(name))->event();
}

std::int64_t tokens(Daemon& daemon, std::string_view name)
{
    return static_cast<std::int64_t>(*event(daemon, name).count());
}

// An event that it takes a while to add to.
struct Crowded {
    explicit Crowded(Daemon& daemon, std::int64_t initial = 0)
    {
        auto client = daemon.connect();
        daemon.ask(client, "CreateEvent",
                   fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", initial));
        fd = *duplicate(*event(daemon, "s").share());
        crowd.emplace(fd);
    }

    UniqueFd fd;
    std::optional<Crowd> crowd;
};

std::string set_of(std::string_view names, std::int64_t count)
{
    return fmt::format(R"({{"names":[{}],"count":{}}})", names, count);
}

// Until it is in the midst of a Set; how many are given.
std::int64_t turn_into_midst(Daemon& daemon, std::string_view name)
{
    for (int i = 0; i < 100 && tokens(daemon, name) == 0; ++i)
        settle(daemon.loop, 1);
    const auto given = tokens(daemon, name);
    REQUIRE(given > 0);
    REQUIRE(given < many);
    return given;
}

// Within few turns of the loop.
std::string answer_to(Daemon& daemon, Client& client, std::string_view method,
                      std::string_view parameters)
{
    client.call(method, parameters);
    std::string reply;
    for (int i = 0; i < 5 && reply.empty(); ++i) {
        settle(daemon.loop, 1);
        reply = client.reply();
    }
    return reply;
}

TEST_CASE("a set of many tokens leaves others their turn, and is answered when all are there")
{
    Daemon daemon;
    const Crowded crowded{daemon};
    auto giver = daemon.connect();
    auto other = daemon.connect(bob);
    giver.call("Set", set_of(R"("s")", many));
    turn_into_midst(daemon, "s");

    CHECK(answer_to(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(giver.reply().empty());
    CHECK(tokens(daemon, "s") < many);
    settle(daemon.loop);
    CHECK(giver.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("a clear of many tokens leaves others their turn, and is answered when all are taken")
{
    Daemon daemon;
    const Crowded crowded{daemon, many};
    auto taker = daemon.connect();
    auto other = daemon.connect(bob);
    taker.call("Clear", R"({"names":["s"]})");
    for (int i = 0; i < 100 && tokens(daemon, "s") == many; ++i)
        settle(daemon.loop, 1);

    CHECK(answer_to(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(taker.reply().empty());
    CHECK(tokens(daemon, "s") > 0);
    settle(daemon.loop);
    CHECK(taker.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE("a clear takes what there was in one call, however many slices of time that is")
{
    constexpr std::int64_t backlog = 1'000'000;
    Daemon daemon;
    auto taker = daemon.connect();
    daemon.ask(taker, "CreateEvent",
               fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", backlog));
    daemon.ask(taker, "CreateEvent", R"({"name":"t","mode":"semaphore","initial":3})");
    taker.call("Clear", R"({"names":["s","t"]})");
    const auto give_up = monotonic_after(30s);
    while (tokens(daemon, "t") > 0 && monotonic_now() < give_up)
        settle(daemon.loop, 100);

    CHECK(taker.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
    CHECK(tokens(daemon, "t") == 0);
}

TEST_CASE("a clear that takes for ever is over with its client")
{
    Daemon daemon;
    auto other = daemon.connect();
    daemon.ask(other, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":4294967295})");
    {
        auto taker = daemon.connect();
        taker.call("Clear", R"({"names":["s"]})");
        settle(daemon.loop, 1);
    }
    const auto give_up = monotonic_after(30s);
    while (daemon.connections() > 1 && monotonic_now() < give_up)
        settle(daemon.loop, 100);

    CHECK(daemon.connections() == 1);
    CHECK(tokens(daemon, "s") > 0);
}

TEST_CASE("what a client asked for before it went is done to its end, and what it asked for next")
{
    const bool is_oneway = GENERATE(false, true);
    Daemon daemon;
    const Crowded crowded{daemon};
    {
        auto giver = daemon.connect();
        const auto call = fmt::format(R"({{"method":"io.evfdd.Set","parameters":{}{}}})",
                                      set_of(R"("s")", many), is_oneway ? R"(,"oneway":true)" : "");
        giver.send(framed(call));
        giver.send(framed(call));
        turn_into_midst(daemon, "s");
    }

    settle(daemon.loop);

    CHECK(tokens(daemon, "s") == 2 * many);
    CHECK(daemon.connections() == 0);
}

TEST_CASE("one set of many tokens is one for those that do not count")
{
    Daemon daemon;
    const Crowded crowded{daemon};
    auto giver = daemon.connect();
    daemon.ask(giver, "CreateEvent", R"({"name":"m"})");
    daemon.ask(giver, "CreateEvent", R"({"name":"a","mode":"auto"})");
    giver.call("Set", set_of(R"("m","a","s")", many));
    turn_into_midst(daemon, "s");
    CHECK(tokens(daemon, "m") == 1);
    REQUIRE(take(event(daemon, "a").fd()) == 1U);

    settle(daemon.loop);

    CHECK(giver.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "m") == 1);
    CHECK(tokens(daemon, "a") == 0);
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("who waits for a pulse hears of all that one call gives at once")
{
    Daemon daemon;
    auto giver = daemon.connect();
    auto waiting = daemon.connect();
    daemon.ask(giver, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon.ask(giver, "Open", R"({"names":["p"]})");
    waiting.call("Wait", R"({"names":["p"]})");
    settle(daemon.loop);

    CHECK(daemon.ask(giver, "Set", set_of(R"("p")", many)) == R"({"parameters":{}})");

    CHECK(waiting.reply().contains(fmt::format(R"("count":{})", many)));
    CHECK(count(giver.descriptors.front()) == static_cast<std::uint64_t>(many));
}

TEST_CASE("an event that is deleted while it is set gets no more, nor does another of its name")
{
    const bool has_other = GENERATE(false, true);
    Daemon daemon;
    const Crowded crowded{daemon};
    auto giver = daemon.connect();
    auto other = daemon.connect();
    giver.call("Set", set_of(R"("s")", many));
    turn_into_midst(daemon, "s");
    other.call("Delete", R"({"names":["s"]})");
    if (has_other)
        other.call("CreateEvent", R"({"name":"s","mode":"semaphore"})");

    settle(daemon.loop);

    CHECK(giver.reply() == R"({"parameters":{}})");
    CHECK(*count(crowded.fd) < static_cast<std::uint64_t>(many));
    if (has_other)
        CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE("a set that the daemon is killed in is done once and whole when its client asks again")
{
    auto daemon = std::make_unique<Daemon>();
    const Crowded crowded{*daemon};
    const auto resume = fmt::format(R"({{"session":"{}","calls":0}})", token);
    const auto set = set_of(R"("s")", many);
    std::int64_t given = 0;
    for (int kills = 0; kills < 3; ++kills) {
        auto giver = daemon->connect();
        REQUIRE_FALSE(daemon->ask(giver, "Resume", resume).contains("error"));
        giver.call("Set", set);
        while (tokens(*daemon, "s") <= given)
            settle(daemon->loop, 1);
        given = tokens(*daemon, "s");
        REQUIRE(given < many);
        daemon = restarted(std::move(daemon));
        CHECK(tokens(*daemon, "s") == given);
    }

    auto giver = daemon->connect();
    REQUIRE_FALSE(daemon->ask(giver, "Resume", resume).contains("error"));
    CHECK(daemon->ask(giver, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == many);

    // And the next one is a whole one.
    CHECK(daemon->ask(giver, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == 2 * many);
}

TEST_CASE("those who come to follow while a call gives do not make its slices longer")
{
    Daemon daemon;
    auto giver = daemon.connect();
    daemon.ask(giver, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    const Crowded crowded{daemon}; // So that it takes more than one slice.
    giver.call("Set", set_of(R"("s","p")", many));
    turn_into_midst(daemon, "s");
    std::vector<Client> all;
    for (int i = 0; i < 40; ++i) {
        all.push_back(daemon.connect(bob));
        all.back().call("Open", R"({"names":["p"]})");
    }
    const auto& followers = daemon.service.registry().find("p"_name)->pulse()->followers();
    const auto most_told = [&] {
        std::int64_t most = 0;
        for (const auto& [its, follower] : followers.all())
            most = std::max(most, static_cast<std::int64_t>(count(follower.fd).value_or(0)));
        return most;
    };
    bool have_all_come = false;
    for (int turns = 0; tokens(daemon, "s") < many; ++turns) {
        REQUIRE(turns < 100'000);
        // What a token takes at least in this turn; more may come to follow before its slice.
        const auto additions = 1 + static_cast<std::int64_t>(followers.size());
        have_all_come = have_all_come || followers.size() == all.size();
        const auto before = most_told();
        settle(daemon.loop, 1);
        REQUIRE((most_told() - before) * additions <= max_tokens_per_set);
    }
    CHECK(have_all_come);
    settle(daemon.loop);
    CHECK(giver.reply() == R"({"parameters":{}})");
}

TEST_CASE("how many at a time follows from what the last ones took")
{
    Pace pace;
    CHECK(pace.next(100) == 1);
    pace.took(1, slice / 50);
    CHECK(pace.next(100) == 50);
    CHECK(pace.next(20) == 20);
    pace.took(50, 1s); // Now a crowd is there.
    CHECK(pace.next(100) == 1);
    pace.took(1, 0ns);
    CHECK(pace.next(1'000'000) == nanoseconds{slice}.count());
}

TEST_CASE("who took more than a slice of everybody's time rests for as long, and nobody else")
{
    Rests rests;
    rests.took(alice, slice);
    CHECK(rests.left(alice) == 0ns);

    const auto begin = monotonic_now();
    rests.took(alice, 20ms);
    CHECK(rests.left(alice) <= 20ms);
    CHECK(rests.left(bob) == 0ns);
    while (rests.left(alice) > 0ns)
        ;
    CHECK(monotonic_now() >= begin + 20ms);
}

} // namespace
} // namespace evfd::daemon
