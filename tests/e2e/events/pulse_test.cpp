// Tests of events of mode pulse.
#include "tests/support/daemon_process.h"

#include <memory>

namespace evfd::e2e {
namespace {

constexpr std::size_t subscriber_count = 100;

TEST_CASE("a pulse reaches the 100 current subscribers and no later one")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "tick", "--mode", "pulse"});
    std::vector<std::unique_ptr<Worker>> subscribers;
    const auto subscribe = [&] {
        subscribers.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const auto event = value_or_throw(daemon.client().open("tick"));
            parent.send(0);
            parent.receive();
            parent.send(static_cast<std::uint64_t>(value_or_throw(event.wait(0ns))));
            parent.receive();
        }));
        subscribers.back()->receive();
    };
    for (std::size_t i = 0; i < subscriber_count; ++i)
        subscribe();

    daemon.checked_ctl({"set", "tick"});
    subscribe();
    const auto pulses = GENERATE(0, 4);
    if (pulses > 0)
        daemon.checked_ctl({"set", "tick", "--count", std::to_string(pulses)});

    for (std::size_t i = 0; i < subscribers.size(); ++i) {
        INFO(i);
        subscribers[i]->send(0);
        CHECK(subscribers[i]->receive() ==
              static_cast<std::uint64_t>(pulses) + (i < subscriber_count ? 1 : 0));
    }
    const auto shown = Json::parse(daemon.checked_ctl({"show", "tick", "--json"}));
    CHECK(shown["subscribers"] == subscriber_count + 1);
    CHECK(shown["pulses"] == 1 + pulses);
    CHECK(shown["isSet"] == false);
}

TEST_CASE("each subscriber of a pulse counts in its own descriptor")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("tick", {.mode = Mode::pulse}));
    const auto one = value_or_throw(client.open("tick"));
    const auto other = value_or_throw(client.open("tick"));
    REQUIRE(one.set(3));
    REQUIRE(other.set());

    CHECK(value_or_throw(one.wait(default_timeout)) == 4);
    // The wait above has consumed all pulses of this subscriber.
    CHECK(value_or_throw(one.wait(0ns)) == 0);
    CHECK(value_or_throw(other.is_set())); // The other subscriber still has its pulses.
    REQUIRE(other.clear());
    CHECK_FALSE(value_or_throw(other.is_set()));
    REQUIRE(one.set());
    CHECK(value_or_throw(other.wait(default_timeout)) == 1);
}

TEST_CASE("a wait for a pulse through the daemon counts the pulses since its begin")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "tick", "--mode", "pulse"});
    // A wait does not receive a pulse that was sent before the wait began.
    daemon.checked_ctl({"set", "tick"});
    CHECK(daemon.ctl({"wait", "tick", "--timeout", "0"}).status == 124);
    OutputReader waiting{daemon.ctl_command({"wait", "tick", "--json"})};
    REQUIRE(daemon.has_waits("tick", 1));

    daemon.checked_ctl({"set", "tick", "--count", "3"});

    CHECK(Json::parse(*waiting.read_line())["fired"][0]["count"] == 3);
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a subscription ends with its Event object and with its client")
{
    const DaemonProcess daemon;
    const auto subscriptions = [&] {
        return Json::parse(daemon.checked_ctl({"show", "tick", "--json"}))["subscribers"]
            .get<std::int64_t>();
    };
    daemon.checked_ctl({"create", "tick", "--mode", "pulse"});
    const auto client = daemon.client();
    std::optional<Event> event = value_or_throw(client.open("tick"));
    const auto second = value_or_throw(client.open("tick"));
    CHECK(subscriptions() == 2);

    event.reset();
    CHECK(poll_until([&] { return subscriptions() == 1; }));

    Worker holder{[&](const WorkerSocket& parent) {
        const auto worker_event = value_or_throw(daemon.client().open("tick"));
        parent.send(0);
        parent.receive();
    }};
    holder.receive();
    CHECK(subscriptions() == 2);
    holder.process().signal(9);
    CHECK(poll_until([&] { return subscriptions() == 1; }));
}

TEST_CASE("a pulse adds the given count, up to the tokens that one call may add")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("tick", {.mode = Mode::pulse}));
    const auto one = value_or_throw(client.open("tick"));
    const auto other = value_or_throw(client.open("tick"));
    CHECK(one.set(max_tokens_per_set / 2));
    CHECK(value_or_throw(other.wait(0ns)) == max_tokens_per_set / 2);
    // One call can add at most max_tokens_per_set pulses, summed over all subscribers. The next
    // call would add more pulses, because there are two subscribers.
    const auto too_many = one.set(max_tokens_per_set / 2 + 1);
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().code == ErrorCode::refused);
    CHECK(value_or_throw(other.wait(0ns)) == 0);
}

} // namespace
} // namespace evfd::e2e
