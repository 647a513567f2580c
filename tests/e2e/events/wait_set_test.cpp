// Waits for any and all of events and timers together.
#include "tests/support/timers.h"

#include <memory>
#include <utility>

namespace evfd::e2e {
namespace {

using All = std::vector<const Waitable*>;

TEST_CASE("wait_any takes from one of events and timers, and leaves the others as they are")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    REQUIRE(client.arm("t", {.after = 1h}));
    const auto event = must(client.open("a"));
    const auto pulse = must(client.open("p"));
    const auto timer = must(client.open_timer("t"));
    const All all{&event, &pulse, &timer};
    CHECK_FALSE(must(wait_any(all, 0ns)));
    CHECK_FALSE(must(wait_any(all, 20ms)));

    REQUIRE(timer.arm({.after = 5ms}));
    auto woken = must(wait_any(all, patience));
    REQUIRE(woken);
    CHECK(woken->index == 2);
    CHECK(woken->count == 1);
    CHECK_FALSE(must(wait_any(all, 0ns)));

    REQUIRE(timer.arm({.after = 1ms}));
    REQUIRE(event.set());
    REQUIRE(pulse.set(3));
    REQUIRE(await_readable(timer.fd()));
    std::vector<std::int64_t> counts(all.size());
    for (std::size_t left = all.size(); left > 0; --left) {
        woken = must(wait_any(all, patience));
        REQUIRE(woken);
        CHECK(std::exchange(counts[woken->index], woken->count) == 0);
    }
    CHECK(counts == std::vector<std::int64_t>{1, 3, 1});
    CHECK_FALSE(must(wait_any(all, 0ns)));
}

TEST_CASE("wait_all waits for events and timers and takes from all or from none")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.create("m"));
    REQUIRE(client.arm("t", {.at = 1s}));
    REQUIRE(client.arm("u", {.after = 1h}));
    const auto event = must(client.open("a"));
    const auto manual = must(client.open("m"));
    const auto expired = must(client.open_timer("t"));
    const auto other = must(client.open_timer("u"));
    const All all{&event, &expired, &other, &manual};
    REQUIRE(event.set());
    REQUIRE(manual.set());
    CHECK_FALSE(must(wait_all(all, 0ns)));
    CHECK_FALSE(must(wait_all(all, 20ms)));
    CHECK(must(event.is_set()));
    CHECK(await_readable(expired.fd(), 0ns));

    REQUIRE(client.arm("u", {.interval = 5ms}));

    CHECK(must(wait_all(all, patience)));
    CHECK_FALSE(must(event.is_set()));
    CHECK(must(manual.is_set()));
    CHECK(must(expired.wait(0ns)) == 0);
    CHECK(must(other.wait(patience)) > 0);
}

TEST_CASE("a timer that is cancelled or disarmed ends no wait for several but one armed anew does")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.mode = Mode::automatic}));
    REQUIRE(client.arm("t", {.after = 1h}));
    Worker worker{[&](const Line& line) {
        const auto its = daemon.client();
        const auto event = must(its.open("a"));
        const auto timer = must(its.open_timer("t"));
        const All all{&event, &timer};
        line.say(0);
        const auto woken = must(wait_any(all, patience));
        require(woken && woken->index == 1 && woken->count == 1, "not the timer");
        line.say(0);
    }};
    worker.hear();
    REQUIRE(client.disarm(std::vector{"t"s}));
    CHECK_FALSE(await_readable(worker.fd().get(), 20ms));
    REQUIRE(client.arm("t", {.after = 1ms}));
    worker.hear();
    CHECK(worker.wait() == 0);
}

TEST_CASE("tokens that are given without a pause are each taken once or are left")
{
    constexpr std::int64_t given = 2'000;
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("shared", {.mode = Mode::semaphore}));
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    REQUIRE(client.create("stop"));
    REQUIRE(client.arm("timer", {.interval = 200us}));
    std::vector<std::unique_ptr<Worker>> takers;
    for (int i = 0; i < 3; ++i) {
        takers.push_back(std::make_unique<Worker>([&](const Line& line) {
            const auto its = daemon.client();
            const auto events = must(its.open(std::vector{"shared"s, "pulse"s, "stop"s}));
            const auto timer = must(its.open_timer("timer"));
            const All all{&events[0], &events[1], &timer, &events[2]};
            line.say(0);
            std::uint64_t tokens = 0;
            while (true) {
                const auto woken = must(wait_any(all, patience));
                require(woken.has_value(), "nothing comes");
                if (woken->index == 0)
                    ++tokens;
                if (woken->index + 1 == all.size())
                    break;
            }
            line.say(tokens);
        }));
        takers.back()->hear();
    }
    const auto pulse = must(client.open("pulse"));
    for (std::int64_t i = 0; i < given; ++i) {
        REQUIRE(client.set(std::vector{"shared"s}));
        if (i % 7 == 0)
            REQUIRE(pulse.set());
    }
    REQUIRE(client.set(std::vector{"stop"s}));
    std::int64_t taken = 0;
    for (const auto& taker : takers) {
        taken += static_cast<std::int64_t>(taker->hear());
        CHECK(taker->wait() == 0);
    }
    CHECK(taken + must(client.show("shared")).count.value_or(0) == given);
}

} // namespace
} // namespace evfd::e2e
