#include "daemon/service/pending_set.h"

#include "daemon/objects/cooldowns.h"
#include "daemon/service/pending_clear.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>
#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";
constexpr std::int64_t many = 5'000; // More than there is time for in one turn.

// Makes each addition to an event wake many.
class EpollWaiters {
public:
    explicit EpollWaiters(const UniqueFd& event)
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

Event& event(ServiceFixture& daemon, std::string_view name)
{
    return *daemon.service.registry().find(*Name::parse(name))->event();
}

std::int64_t tokens(ServiceFixture& daemon, std::string_view name)
{
    return static_cast<std::int64_t>(*event(daemon, name).count());
}

// An event that it takes a while to add to.
struct SlowEvent {
    explicit SlowEvent(ServiceFixture& daemon, std::int64_t initial = 0)
    {
        auto client = daemon.connect();
        daemon.request(client, "CreateEvent",
                       fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", initial));
        fd = *duplicate(*event(daemon, "s").share());
        waiters.emplace(fd);
    }

    UniqueFd fd;
    std::optional<EpollWaiters> waiters;
};

std::string set_of(std::string_view names, std::int64_t count)
{
    return fmt::format(R"({{"names":[{}],"count":{}}})", names, count);
}

// Until it is in the midst of a Set; how many are given.
std::int64_t run_into_set(ServiceFixture& daemon, std::string_view name)
{
    for (int i = 0; i < 100 && tokens(daemon, name) == 0; ++i)
        run_until_idle(daemon.loop, 1);
    const auto applied = tokens(daemon, name);
    REQUIRE(applied > 0);
    REQUIRE(applied < many);
    return applied;
}

// Within few turns of the loop.
std::string reply_within_few_iterations(ServiceFixture& daemon, TestClient& client,
                                        std::string_view method, std::string_view parameters)
{
    client.call(method, parameters);
    std::string reply;
    for (int i = 0; i < 5 && reply.empty(); ++i) {
        run_until_idle(daemon.loop, 1);
        reply = client.reply();
    }
    return reply;
}

TEST_CASE("a set of many tokens leaves others their turn, and is answered when all are there")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    auto other = daemon.connect(bob);
    setter.call("Set", set_of(R"("s")", many));
    run_into_set(daemon, "s");

    CHECK(reply_within_few_iterations(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(setter.reply().empty());
    CHECK(tokens(daemon, "s") < many);
    run_until_idle(daemon.loop);
    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("a clear of many tokens leaves others their turn, and is answered when all are taken")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon, many};
    auto waiter = daemon.connect();
    auto other = daemon.connect(bob);
    waiter.call("Clear", R"({"names":["s"]})");
    for (int i = 0; i < 100 && tokens(daemon, "s") == many; ++i)
        run_until_idle(daemon.loop, 1);

    CHECK(reply_within_few_iterations(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(waiter.reply().empty());
    CHECK(tokens(daemon, "s") > 0);
    run_until_idle(daemon.loop);
    CHECK(waiter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE("a clear takes what there was in one call, however many slices of time that is")
{
    constexpr std::int64_t backlog = 1'000'000;
    ServiceFixture daemon;
    auto waiter = daemon.connect();
    daemon.request(waiter, "CreateEvent",
                   fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", backlog));
    daemon.request(waiter, "CreateEvent", R"({"name":"t","mode":"semaphore","initial":3})");
    waiter.call("Clear", R"({"names":["s","t"]})");
    const auto give_up = monotonic_deadline(30s);
    while (tokens(daemon, "t") > 0 && monotonic_now() < give_up)
        run_until_idle(daemon.loop, 100);

    CHECK(waiter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
    CHECK(tokens(daemon, "t") == 0);
}

TEST_CASE("a clear that takes for ever is over with its client")
{
    ServiceFixture daemon;
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":4294967295})");
    {
        auto waiter = daemon.connect();
        waiter.call("Clear", R"({"names":["s"]})");
        run_until_idle(daemon.loop, 1);
    }
    const auto give_up = monotonic_deadline(30s);
    while (daemon.connections() > 1 && monotonic_now() < give_up)
        run_until_idle(daemon.loop, 100);

    CHECK(daemon.connections() == 1);
    CHECK(tokens(daemon, "s") > 0);
}

TEST_CASE("what a client asked for before it went is done to its end, and what it asked for next")
{
    const bool is_oneway = GENERATE(false, true);
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    {
        auto setter = daemon.connect();
        const auto call = fmt::format(R"({{"method":"io.evfdd.Set","parameters":{}{}}})",
                                      set_of(R"("s")", many), is_oneway ? R"(,"oneway":true)" : "");
        setter.send(framed(call));
        setter.send(framed(call));
        run_into_set(daemon, "s");
    }

    run_until_idle(daemon.loop);

    CHECK(tokens(daemon, "s") == 2 * many);
    CHECK(daemon.connections() == 0);
}

TEST_CASE("one set of many tokens is one for those that do not count")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"m"})");
    daemon.request(setter, "CreateEvent", R"({"name":"a","mode":"auto"})");
    setter.call("Set", set_of(R"("m","a","s")", many));
    run_into_set(daemon, "s");
    CHECK(tokens(daemon, "m") == 1);
    REQUIRE(take(event(daemon, "a").fd()) == 1U);

    run_until_idle(daemon.loop);

    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "m") == 1);
    CHECK(tokens(daemon, "a") == 0);
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("who waits for a pulse hears of all that one call gives at once")
{
    ServiceFixture daemon;
    auto setter = daemon.connect();
    auto waiting = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon.request(setter, "Open", R"({"names":["p"]})");
    waiting.call("Wait", R"({"names":["p"]})");
    run_until_idle(daemon.loop);

    CHECK(daemon.request(setter, "Set", set_of(R"("p")", many)) == R"({"parameters":{}})");

    CHECK(waiting.reply().contains(fmt::format(R"("count":{})", many)));
    CHECK(count(setter.descriptors.front()) == static_cast<std::uint64_t>(many));
}

TEST_CASE("an event that is deleted while it is set gets no more, nor does another of its name")
{
    const bool has_other = GENERATE(false, true);
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    auto other = daemon.connect();
    setter.call("Set", set_of(R"("s")", many));
    run_into_set(daemon, "s");
    other.call("Delete", R"({"names":["s"]})");
    if (has_other)
        other.call("CreateEvent", R"({"name":"s","mode":"semaphore"})");

    run_until_idle(daemon.loop);

    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(*count(slow_event.fd) < static_cast<std::uint64_t>(many));
    if (has_other)
        CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE("a set that the daemon is killed in is done once and whole when its client asks again")
{
    auto daemon = std::make_unique<ServiceFixture>();
    const SlowEvent slow_event{*daemon};
    const auto resume = fmt::format(R"({{"session":"{}","calls":0}})", token);
    const auto set = set_of(R"("s")", many);
    std::int64_t applied = 0;
    for (int kills = 0; kills < 3; ++kills) {
        auto setter = daemon->connect();
        REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
        setter.call("Set", set);
        while (tokens(*daemon, "s") <= applied)
            run_until_idle(daemon->loop, 1);
        applied = tokens(*daemon, "s");
        REQUIRE(applied < many);
        daemon = crash_and_restart(std::move(daemon));
        CHECK(tokens(*daemon, "s") == applied);
    }

    auto setter = daemon->connect();
    REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
    CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == many);

    // And the next one is a whole one.
    CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == 2 * many);
}

TEST_CASE("those who come to follow while a call gives do not make its slices longer")
{
    ServiceFixture daemon;
    auto setter = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    const SlowEvent slow_event{daemon}; // So that it takes more than one slice.
    setter.call("Set", set_of(R"("s","p")", many));
    run_into_set(daemon, "s");
    std::vector<TestClient> all;
    for (int i = 0; i < 40; ++i) {
        all.push_back(daemon.connect(bob));
        all.back().call("Open", R"({"names":["p"]})");
    }
    const auto& subscriptions = daemon.service.registry().find("p"_name)->pulse()->subscriptions();
    const auto most_told = [&] {
        std::int64_t most = 0;
        for (const auto& [its, follower] : subscriptions.all())
            most = std::max(most, static_cast<std::int64_t>(count(follower.fd).value_or(0)));
        return most;
    };
    bool have_all_come = false;
    for (int turns = 0; tokens(daemon, "s") < many; ++turns) {
        REQUIRE(turns < 100'000);
        // What a token takes at least in this turn; more may come to follow before its slice.
        const auto additions = 1 + static_cast<std::int64_t>(subscriptions.size());
        have_all_come = have_all_come || subscriptions.size() == all.size();
        const auto before = most_told();
        run_until_idle(daemon.loop, 1);
        REQUIRE((most_told() - before) * additions <= max_tokens_per_set);
    }
    CHECK(have_all_come);
    run_until_idle(daemon.loop);
    CHECK(setter.reply() == R"({"parameters":{}})");
}

TEST_CASE("how many at a time follows from what the last ones took")
{
    BatchSizer pace;
    CHECK(pace.next_batch(100) == 1);
    pace.record(1, time_slice / 50);
    CHECK(pace.next_batch(100) == 50);
    CHECK(pace.next_batch(20) == 20);
    pace.record(50, 1s); // Now a crowd is there.
    CHECK(pace.next_batch(100) == 1);
    pace.record(1, 0ns);
    CHECK(pace.next_batch(1'000'000) == nanoseconds{time_slice}.count());
}

TEST_CASE("who took more than a slice of everybody's time rests for as long, and nobody else")
{
    Cooldowns rests;
    rests.charge(alice, time_slice);
    CHECK(rests.remaining(alice) == 0ns);

    const auto begin = monotonic_now();
    rests.charge(alice, 20ms);
    CHECK(rests.remaining(alice) <= 20ms);
    CHECK(rests.remaining(bob) == 0ns);
    while (rests.remaining(alice) > 0ns)
        ;
    CHECK(monotonic_now() >= begin + 20ms);
}

} // namespace
} // namespace evfd::daemon
