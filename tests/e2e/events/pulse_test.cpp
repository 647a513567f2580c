// Events of the moment.
#include "tests/support/daemon_process.h"

#include <memory>

namespace evfd::e2e {
namespace {

constexpr std::size_t crowd = 100;

TEST_CASE("a pulse reaches all 100 subscribers of that moment and no later one")
{
    const Daemon daemon;
    daemon.done({"create", "tick", "--mode", "pulse"});
    std::vector<std::unique_ptr<Worker>> subscribers;
    const auto subscribe = [&] {
        subscribers.push_back(std::make_unique<Worker>([&](const Line& line) {
            const auto event = must(daemon.client().open("tick"));
            line.say(0);
            line.hear();
            line.say(static_cast<std::uint64_t>(must(event.wait(0ns))));
            line.hear();
        }));
        subscribers.back()->hear();
    };
    for (std::size_t i = 0; i < crowd; ++i)
        subscribe();

    daemon.done({"set", "tick"});
    subscribe();
    const auto pulses = GENERATE(0, 4);
    if (pulses > 0)
        daemon.done({"set", "tick", "--count", std::to_string(pulses)});

    for (std::size_t i = 0; i < subscribers.size(); ++i) {
        INFO(i);
        subscribers[i]->say(0);
        CHECK(subscribers[i]->hear() == static_cast<std::uint64_t>(pulses) + (i < crowd ? 1 : 0));
    }
    const auto shown = Json::parse(daemon.done({"show", "tick", "--json"}));
    CHECK(shown["subscriptions"] == crowd + 1);
    CHECK(shown["pulses"] == 1 + pulses);
    CHECK(shown["isSet"] == false);
}

TEST_CASE("a pulse latches in each subscriber's own descriptor")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("tick", {.mode = Mode::pulse}));
    const auto one = must(client.open("tick"));
    const auto other = must(client.open("tick"));
    REQUIRE(one.set(3));
    REQUIRE(other.set());

    CHECK(must(one.wait(patience)) == 4);
    CHECK(must(one.wait(0ns)) == 0); // All taken,
    CHECK(must(other.is_set()));     // of its own.
    REQUIRE(other.clear());
    CHECK_FALSE(must(other.is_set()));
    REQUIRE(one.set());
    CHECK(must(other.wait(patience)) == 1);
}

TEST_CASE("who waits for a pulse through the daemon hears of those since the wait began")
{
    const Daemon daemon;
    daemon.done({"create", "tick", "--mode", "pulse"});
    daemon.done({"set", "tick"}); // Too early.
    CHECK(daemon.ctl({"wait", "tick", "--timeout", "0"}).status == 124);
    Reading waiting{daemon.control({"wait", "tick", "--json"})};
    REQUIRE(daemon.has_waits("tick", 1));

    daemon.done({"set", "tick", "--count", "3"});

    CHECK(Json::parse(*waiting.line())["fired"][0]["count"] == 3);
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a subscription ends with its event object and with its client")
{
    const Daemon daemon;
    const auto subscriptions = [&] {
        return Json::parse(daemon.done({"show", "tick", "--json"}))["subscriptions"]
            .get<std::int64_t>();
    };
    daemon.done({"create", "tick", "--mode", "pulse"});
    const auto client = daemon.client();
    std::optional<Event> event = must(client.open("tick"));
    const auto second = must(client.open("tick"));
    CHECK(subscriptions() == 2);

    event.reset();
    CHECK(eventually([&] { return subscriptions() == 1; }));

    Worker holder{[&](const Line& line) {
        const auto its = must(daemon.client().open("tick"));
        line.say(0);
        line.hear();
    }};
    holder.hear();
    CHECK(subscriptions() == 2);
    holder.process().signal(9);
    CHECK(eventually([&] { return subscriptions() == 1; }));
}

TEST_CASE("a pulse counts how many it was asked for, and not beyond what one call may add")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("tick", {.mode = Mode::pulse}));
    const auto one = must(client.open("tick"));
    const auto other = must(client.open("tick"));
    CHECK(one.set(max_tokens_per_set / 2));
    CHECK(must(other.wait(0ns)) == max_tokens_per_set / 2);
    const auto too_many = one.set(max_tokens_per_set / 2 + 1); // For two of them.
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().code == ErrorCode::refused);
    CHECK(must(other.wait(0ns)) == 0);
}

} // namespace
} // namespace evfd::e2e
