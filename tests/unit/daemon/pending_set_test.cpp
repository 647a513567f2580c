#include "daemon/service/pending_set.h"

#include "daemon/objects/cooldowns.h"
#include "daemon/service/pending_clear.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>
#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";
constexpr std::int64_t many = 5'000; // A Set of this many tokens takes more than one iteration.

// Many waiters for one event. Each increment of the event wakes all of the waiters, and so takes
// long.
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
    return *daemon.service.registry().objects.find(*Name::parse(name))->event();
}

std::int64_t tokens(ServiceFixture& daemon, std::string_view name)
{
    return static_cast<std::int64_t>(*event(daemon, name).count());
}

// A semaphore that is slow to increment.
struct SlowEvent {
    explicit SlowEvent(ServiceFixture& daemon, std::int64_t initial = 0)
    {
        auto client = daemon.connect();
        daemon.request(client, "CreateEvent",
                       fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", initial));
        daemon.request(client, "Open", R"({"items":[{"name":"s"}]})");
        fd = *duplicate(event(daemon, "s").fd());
        waiters.emplace(fd);
    }

    UniqueFd fd;
    std::optional<EpollWaiters> waiters;
};

std::string set_of(std::initializer_list<std::string_view> names, std::int64_t count)
{
    std::string items;
    for (const auto name : names)
        items +=
            fmt::format(R"({}{{"name":"{}","count":{}}})", items.empty() ? "" : ",", name, count);
    return fmt::format(R"({{"items":[{}]}})", items);
}

// Runs the loop until a Set has applied some of its tokens, but not all. Returns the number of
// applied tokens.
std::int64_t run_into_set(ServiceFixture& daemon, std::string_view name)
{
    for (int i = 0; i < 100 && tokens(daemon, name) == 0; ++i)
        run_iterations(daemon.loop, 1);
    const auto applied = tokens(daemon, name);
    REQUIRE(applied > 0);
    REQUIRE(applied < many);
    return applied;
}

// Makes the call. Returns the reply if it arrives within a few iterations, else an empty string.
std::string reply_within_few_iterations(ServiceFixture& daemon, TestClient& client,
                                        std::string_view method, std::string_view parameters)
{
    client.call(method, parameters);
    std::string reply;
    for (int i = 0; i < 5 && reply.empty(); ++i) {
        run_iterations(daemon.loop, 1);
        reply = client.reply();
    }
    return reply;
}

TEST_CASE("a Set of many tokens yields to others and is answered when all are applied")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    auto other = daemon.connect(bob);
    setter.call("Set", set_of({"s"}, many));
    run_into_set(daemon, "s");

    CHECK(reply_within_few_iterations(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(setter.reply().empty());
    CHECK(tokens(daemon, "s") < many);
    run_until_idle(daemon.loop);
    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("a Clear of many tokens yields to others and is answered when all are consumed")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon, many};
    auto waiter = daemon.connect();
    auto other = daemon.connect(bob);
    waiter.call("Clear", R"({"items":[{"name":"s"}]})");
    for (int i = 0; i < 100 && tokens(daemon, "s") == many; ++i)
        run_iterations(daemon.loop, 1);

    CHECK(reply_within_few_iterations(daemon, other, "Show", R"({"name":"s"})").contains("count"));

    CHECK(waiter.reply().empty());
    CHECK(tokens(daemon, "s") > 0);
    run_until_idle(daemon.loop);
    CHECK(waiter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE(
    "a Clear consumes the tokens that existed at its start, however many time slices it takes")
{
    constexpr std::int64_t backlog = 1'000'000;
    ServiceFixture daemon;
    auto waiter = daemon.connect();
    daemon.request(waiter, "CreateEvent",
                   fmt::format(R"({{"name":"s","mode":"semaphore","initial":{}}})", backlog));
    daemon.request(waiter, "CreateEvent", R"({"name":"t","mode":"semaphore","initial":3})");
    waiter.call("Clear", R"({"items":[{"name":"s"},{"name":"t"}]})");
    const auto disconnects = monotonic_deadline(30s);
    while (tokens(daemon, "t") > 0 && monotonic_now() < disconnects)
        run_iterations(daemon.loop, 100);

    CHECK(waiter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == 0);
    CHECK(tokens(daemon, "t") == 0);
}

TEST_CASE("an endless Clear ends with its client")
{
    ServiceFixture daemon;
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"s","mode":"semaphore","initial":4294967295})");
    daemon.request(other, "Open", R"({"items":[{"name":"s"}]})");
    {
        auto waiter = daemon.connect();
        waiter.call("Clear", R"({"items":[{"name":"s"}]})");
        run_iterations(daemon.loop, 1);
    }
    const auto disconnects = monotonic_deadline(30s);
    while (daemon.connections() > 1 && monotonic_now() < disconnects)
        run_iterations(daemon.loop, 100);

    CHECK(daemon.connections() == 1);
    CHECK(tokens(daemon, "s") > 0);
}

TEST_CASE("a disconnected client's pending Set is completed, and so are its later calls")
{
    const bool is_oneway = GENERATE(false, true);
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    {
        auto setter = daemon.connect();
        const auto call = fmt::format(R"({{"method":"io.evfdd.Set","parameters":{}{}}})",
                                      set_of({"s"}, many), is_oneway ? R"(,"oneway":true)" : "");
        setter.send(framed(call));
        setter.send(framed(call));
        run_into_set(daemon, "s");
    }

    run_until_idle(daemon.loop);

    CHECK(tokens(daemon, "s") == 2 * many);
    CHECK(daemon.connections() == 0);
}

TEST_CASE("a oneway Set of many tokens is not answered, and the next call is")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    setter.send(framed(fmt::format(R"({{"method":"io.evfdd.Set","parameters":{},"oneway":true}})",
                                   set_of({"s"}, many))));
    setter.call("Show", R"({"name":"s"})");
    run_into_set(daemon, "s");

    run_until_idle(daemon.loop);

    CHECK(tokens(daemon, "s") == many);
    CHECK(setter.reply().contains(R"("object")"));
    CHECK(setter.reply().empty());
}

TEST_CASE("a Set of many tokens is one change for events that do not count")
{
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"m"})");
    daemon.request(setter, "CreateEvent", R"({"name":"a","mode":"auto"})");
    setter.call("Set", set_of({"m", "a", "s"}, many));
    run_into_set(daemon, "s");
    CHECK(tokens(daemon, "m") == 1);
    REQUIRE(event(daemon, "a").take() == true);

    run_until_idle(daemon.loop);

    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "m") == 1);
    CHECK(tokens(daemon, "a") == 0);
    CHECK(tokens(daemon, "s") == many);
}

TEST_CASE("each item of a Set gets its own count of tokens, also in several slices")
{
    const auto tokens_of_s = GENERATE(5, many);
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    auto waiter = daemon.connect();
    for (const auto* name : {"two", "one"})
        daemon.request(setter, "CreateEvent",
                       fmt::format(R"({{"name":"{}","mode":"semaphore"}})", name));
    daemon.request(setter, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon.request(setter, "Open", R"({"items":[{"name":"p"}]})");
    waiter.call("Wait", R"({"items":[{"name":"p"}]})");
    run_until_idle(daemon.loop);
    CHECK(daemon.request(
              setter, "Set",
              fmt::format(R"({{"items":[{{"name":"two","count":2}},{{"name":"p","count":3}},)"
                          R"({{"name":"s","count":{}}},{{"name":"one"}}]}})",
                          tokens_of_s)) == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == tokens_of_s);
    CHECK(tokens(daemon, "two") == 2);
    CHECK(tokens(daemon, "one") == 1);
    CHECK(waiter.reply().contains(R"("name":"p","count":3)"));
    CHECK(count(setter.descriptors.front()) == 3U);
    CHECK(daemon.request(setter, "Show", R"({"name":"p"})").contains(R"("pulses":3,)"));
}

TEST_CASE("a waiter for a pulse gets the whole count of one Set at once")
{
    ServiceFixture daemon;
    auto setter = daemon.connect();
    auto waiting = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon.request(setter, "Open", R"({"items":[{"name":"p"}]})");
    waiting.call("Wait", R"({"items":[{"name":"p"}]})");
    run_until_idle(daemon.loop);

    CHECK(daemon.request(setter, "Set", set_of({"p"}, many)) == R"({"parameters":{}})");

    CHECK(waiting.reply().contains(fmt::format(R"("count":{})", many)));
    CHECK(count(setter.descriptors.front()) == static_cast<std::uint64_t>(many));
}

TEST_CASE(
    "an event that is deleted during a Set gets no more tokens, nor does a later one of its name")
{
    const bool has_other = GENERATE(false, true);
    ServiceFixture daemon;
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    auto other = daemon.connect();
    setter.call("Set", set_of({"s"}, many));
    run_into_set(daemon, "s");
    other.call("Delete", R"({"items":[{"name":"s"}]})");
    if (has_other)
        other.call("CreateEvent", R"({"name":"s","mode":"semaphore"})");

    run_until_idle(daemon.loop);

    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(*count(slow_event.fd) < static_cast<std::uint64_t>(many));
    if (has_other)
        CHECK(tokens(daemon, "s") == 0);
}

TEST_CASE(
    "a Set that was interrupted by a crash is applied once and whole when its client repeats it")
{
    auto daemon = std::make_unique<ServiceFixture>();
    const SlowEvent slow_event{*daemon};
    const auto resume = fmt::format(R"({{"session":"{}","sequence":0}})", token);
    const auto set = set_of({"s"}, many);
    std::int64_t applied = 0;
    for (int kills = 0; kills < 3; ++kills) {
        auto setter = daemon->connect();
        REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
        setter.call("Set", set);
        while (tokens(*daemon, "s") <= applied)
            run_iterations(daemon->loop, 1);
        applied = tokens(*daemon, "s");
        REQUIRE(applied < many);
        daemon = crash_and_restart(std::move(daemon));
        CHECK(tokens(*daemon, "s") == applied);
    }

    auto setter = daemon->connect();
    REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
    CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == many);

    // This Set is a new call, so the daemon adds all of its tokens.
    CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "s") == 2 * many);
}

TEST_CASE("a Set that a crash interrupted is not refused, whatever happened to its event")
{
    const auto change = GENERATE(as<std::string>{}, "nothing", "deleted", "replaced", "forbidden");
    CAPTURE(change);
    const auto resume = fmt::format(R"({{"session":"{}","sequence":0}})", token);
    const auto set = set_of({"s"}, many);
    auto daemon = std::make_unique<ServiceFixture>();
    const SlowEvent slow_event{*daemon};
    {
        auto owner = daemon->connect();
        daemon->request(owner, "SetPermissions", R"({"name":"s","permissions":"0666"})");
    }
    auto setter = daemon->connect(bob);
    REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
    setter.call("Set", set);
    run_into_set(*daemon, "s");
    daemon = crash_and_restart(std::move(daemon));
    const auto applied = tokens(*daemon, "s");

    auto owner = daemon->connect();
    if (change == "deleted" || change == "replaced")
        daemon->request(owner, "Delete", R"({"items":[{"name":"s"}]})");
    if (change == "replaced")
        daemon->request(owner, "CreateEvent",
                        R"({"name":"s","mode":"semaphore","permissions":"0666"})");
    if (change == "forbidden")
        daemon->request(owner, "SetPermissions", R"({"name":"s","permissions":"0644"})");

    for (int repetitions = 0; repetitions < 2; ++repetitions) {
        setter = daemon->connect(bob);
        REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
        CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
        const auto expected = change == "nothing" ? many : applied;
        CHECK(count(slow_event.fd) == static_cast<std::uint64_t>(expected));
        if (change == "replaced")
            CHECK(tokens(*daemon, "s") == 0);
        // Before this crash, the daemon has recorded the reply to the Set.
        daemon = crash_and_restart(std::move(daemon));
    }
}

TEST_CASE("a repeated Set gives an event no tokens again that had all of them")
{
    const auto resume = fmt::format(R"({{"session":"{}","sequence":0}})", token);
    const auto set =
        fmt::format(R"({{"items":[{{"name":"few","count":2}},{{"name":"s","count":{}}}]}})", many);
    auto daemon = std::make_unique<ServiceFixture>();
    const SlowEvent slow_event{*daemon};
    auto setter = daemon->connect();
    daemon->request(setter, "CreateEvent", R"({"name":"few","mode":"semaphore"})");
    setter = daemon->connect();
    REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
    setter.call("Set", set);
    while (tokens(*daemon, "s") < 2)
        run_iterations(daemon->loop, 1);
    REQUIRE(tokens(*daemon, "s") < many);
    daemon = crash_and_restart(std::move(daemon));
    auto owner = daemon->connect();
    daemon->request(owner, "Delete", R"({"items":[{"name":"s"}]})");

    setter = daemon->connect();
    REQUIRE_FALSE(daemon->request(setter, "Resume", resume).contains("error"));
    CHECK(daemon->request(setter, "Set", set) == R"({"parameters":{}})");
    CHECK(tokens(*daemon, "few") == 2);
}

TEST_CASE("subscribers that join during a Set do not lengthen its slices")
{
    ServiceFixture daemon;
    auto setter = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    // The slow event makes the Set take more than one time slice.
    const SlowEvent slow_event{daemon};
    setter.call("Set", set_of({"s", "p"}, many));
    run_into_set(daemon, "s");
    std::vector<TestClient> all;
    for (int i = 0; i < 40; ++i) {
        all.push_back(daemon.connect(bob));
        all.back().call("Open", R"({"items":[{"name":"p"}]})");
    }
    const auto& subscriptions =
        daemon.service.registry().objects.find("p"_name)->pulse()->subscriptions();
    const auto max_delivered = [&] {
        std::int64_t most = 0;
        for (const auto& [token_key, subscription] : subscriptions.all())
            most = std::max(most, static_cast<std::int64_t>(count(subscription.fd()).value_or(0)));
        return most;
    };
    bool all_subscribed = false;
    for (int iterations = 0; tokens(daemon, "s") < many; ++iterations) {
        REQUIRE(iterations < 100'000);
        // One token for "s" takes one increment. One pulse for "p" takes one increment for each
        // subscriber. More subscribers can join before the Set continues, so the sum is a lower
        // bound.
        const auto additions = 1 + static_cast<std::int64_t>(subscriptions.size());
        all_subscribed = all_subscribed || subscriptions.size() == all.size();
        const auto before = max_delivered();
        run_iterations(daemon.loop, 1);
        REQUIRE((max_delivered() - before) * additions <= max_tokens_per_set);
    }
    CHECK(all_subscribed);
    run_until_idle(daemon.loop);
    CHECK(setter.reply() == R"({"parameters":{}})");
}

TEST_CASE(
    "subscribers of a pulse that a Set has finished do not make the rest of the Set too large")
{
    // Each of the three pulse events "p", "q" and "r" gets this number of subscribers.
    constexpr std::int64_t subscribers = max_tokens_per_set / 3 + 1;
    require_descriptors(20'000);
    auto limits = default_limits;
    limits.set(Resource::subscriptions, 2 * max_tokens_per_set);
    ServiceFixture daemon{limits, 4 * max_tokens_per_set};
    const SlowEvent slow_event{daemon};
    auto setter = daemon.connect();
    daemon.request(setter, "CreateEvent", R"({"name":"m"})");
    for (const auto* name : {"p", "q", "r"})
        daemon.request(setter, "CreateEvent",
                       fmt::format(R"({{"name":"{}","mode":"pulse"}})", name));
    setter.call("Set", fmt::format(R"({{"items":[{{"name":"m"}},{{"name":"p","count":2}},)"
                                   R"({{"name":"q","count":2}},{{"name":"r"}},)"
                                   R"({{"name":"s","count":{}}}]}})",
                                   many));
    while (run_into_set(daemon, "s") < 2)
        run_iterations(daemon.loop, 1);
    auto& registry = daemon.service.registry();
    Session subscriber{daemon.service.registry().ids.next(), make_peer(alice), {}, {}};
    for (std::int64_t i = 0; i < subscribers; ++i)
        REQUIRE(registry.opening.open(subscriber, names({"p", "q", "r"})));

    run_until_idle(daemon.loop);

    CHECK(setter.reply() == R"({"parameters":{}})");
    CHECK(tokens(daemon, "s") == many);
    CHECK(tokens(daemon, "m") == 1);
}

TEST_CASE("the size of a batch follows from the duration of earlier batches")
{
    BatchSizer batch_sizer;
    CHECK(batch_sizer.next_batch(100) == 1);
    batch_sizer.record(1, time_slice / 50);
    CHECK(batch_sizer.next_batch(100) == 50);
    CHECK(batch_sizer.next_batch(20) == 20);
    batch_sizer.record(50, 1s); // These increments took longer than the first.
    CHECK(batch_sizer.next_batch(100) == 1);
    batch_sizer.record(1, 0ns);
    CHECK(batch_sizer.next_batch(1'000'000) == nanoseconds{time_slice}.count());
}

TEST_CASE(
    "a user that exceeded its time slice cools down for the same time, and no other user does")
{
    Cooldowns cooldowns;
    cooldowns.charge(alice, time_slice);
    CHECK(cooldowns.remaining(alice) == 0ns);

    const auto begin = monotonic_now();
    cooldowns.charge(alice, 20ms);
    CHECK(cooldowns.remaining(alice) <= 20ms);
    CHECK(cooldowns.remaining(bob) == 0ns);
    while (cooldowns.remaining(alice) > 0ns)
        ;
    CHECK(monotonic_now() >= begin + 20ms);
}

} // namespace
} // namespace evfd::daemon
