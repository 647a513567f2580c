// Tests of the waits of the library for any or all of several events and timers.
#include "tests/support/timers.h"

#include <memory>
#include <utility>

namespace evfd::e2e {
namespace {

using All = std::vector<const Waitable*>;

TEST_CASE("wait_any consumes from one of several events and timers and leaves the others unchanged")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    REQUIRE(client.arm("t", {.after = 1h}));
    const auto event = value_or_throw(client.open("a"));
    const auto pulse = value_or_throw(client.open("p"));
    const auto timer = value_or_throw(client.open_timer("t"));
    const All all{&event, &pulse, &timer};
    CHECK_FALSE(value_or_throw(wait_any(all, 0ns)));
    CHECK_FALSE(value_or_throw(wait_any(all, 20ms)));

    REQUIRE(timer.arm({.after = 5ms}));
    auto woken = value_or_throw(wait_any(all, default_timeout));
    REQUIRE(woken);
    CHECK(woken->index == 2);
    CHECK(woken->count == 1);
    CHECK_FALSE(value_or_throw(wait_any(all, 0ns)));

    REQUIRE(timer.arm({.after = 1ms}));
    REQUIRE(event.set());
    REQUIRE(pulse.set(3));
    REQUIRE(await_readable(timer.fd()));
    std::vector<std::int64_t> counts(all.size());
    for (std::size_t left = all.size(); left > 0; --left) {
        woken = value_or_throw(wait_any(all, default_timeout));
        REQUIRE(woken);
        CHECK(std::exchange(counts[woken->index], woken->count) == 0);
    }
    CHECK(counts == std::vector<std::int64_t>{1, 3, 1});
    CHECK_FALSE(value_or_throw(wait_any(all, 0ns)));
}

TEST_CASE("wait_all consumes from all of several events and timers or from none")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("m"));
    REQUIRE(client.arm("t", {.at = 1s}));
    REQUIRE(client.arm("u", {.after = 1h}));
    const auto event = value_or_throw(client.open("a"));
    const auto manual = value_or_throw(client.open("m"));
    const auto expired = value_or_throw(client.open_timer("t"));
    const auto other = value_or_throw(client.open_timer("u"));
    const All all{&event, &expired, &other, &manual};
    REQUIRE(event.set());
    REQUIRE(manual.set());
    CHECK_FALSE(value_or_throw(wait_all(all, 0ns)));
    CHECK_FALSE(value_or_throw(wait_all(all, 20ms)));
    CHECK(value_or_throw(event.is_set()));
    CHECK(await_readable(expired.fd(), 0ns));

    REQUIRE(client.arm("u", {.interval = 5ms}));

    CHECK(value_or_throw(wait_all(all, default_timeout)));
    CHECK_FALSE(value_or_throw(event.is_set()));
    CHECK(value_or_throw(manual.is_set()));
    CHECK(value_or_throw(expired.wait(0ns)) == 0);
    CHECK(value_or_throw(other.wait(default_timeout)) > 0);
}

TEST_CASE("a cancelled or disarmed timer ends no wait for several objects, and a rearmed one does")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.arm("t", {.after = 1h}));
    Worker worker{[&](const WorkerSocket& parent) {
        const auto worker_client = daemon.client();
        const auto event = value_or_throw(worker_client.open("a"));
        const auto timer = value_or_throw(worker_client.open_timer("t"));
        const All all{&event, &timer};
        parent.send(0);
        const auto woken = value_or_throw(wait_any(all, default_timeout));
        require(woken && woken->index == 1 && woken->count == 1,
                "the wait did not end by the timer");
        parent.send(0);
    }};
    worker.receive();
    REQUIRE(client.disarm(std::vector{"t"s}));
    CHECK_FALSE(await_readable(worker.fd().get(), 20ms));
    REQUIRE(client.arm("t", {.after = 1ms}));
    worker.receive();
    CHECK(worker.wait() == 0);
}

TEST_CASE("each token is consumed once or remains while several processes wait for any")
{
    constexpr std::int64_t added = 2'000;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("shared", {.mode = Mode::semaphore}));
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    REQUIRE(client.create("stop"));
    REQUIRE(client.arm("timer", {.interval = 200us}));
    std::vector<std::unique_ptr<Worker>> takers;
    for (int i = 0; i < 3; ++i) {
        takers.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const auto worker_client = daemon.client();
            const auto events =
                value_or_throw(worker_client.open(std::vector{"shared"s, "pulse"s, "stop"s}));
            const auto timer = value_or_throw(worker_client.open_timer("timer"));
            const All all{&events[0], &events[1], &timer, &events[2]};
            parent.send(0);
            std::uint64_t tokens = 0;
            while (true) {
                const auto woken = value_or_throw(wait_any(all, default_timeout));
                require(woken.has_value(), "the wait timed out");
                if (woken->index == 0)
                    ++tokens;
                if (woken->index + 1 == all.size())
                    break;
            }
            parent.send(tokens);
        }));
        takers.back()->receive();
    }
    const auto pulse = value_or_throw(client.open("pulse"));
    for (std::int64_t i = 0; i < added; ++i) {
        REQUIRE(client.set(std::vector{"shared"s}));
        if (i % 7 == 0)
            REQUIRE(pulse.set());
    }
    REQUIRE(client.set(std::vector{"stop"s}));
    std::int64_t taken = 0;
    for (const auto& taker : takers) {
        taken += static_cast<std::int64_t>(taker->receive());
        CHECK(taker->wait() == 0);
    }
    CHECK(taken + value_or_throw(client.show("shared")).count.value_or(0) == added);
}

} // namespace
} // namespace evfd::e2e
