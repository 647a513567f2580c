// Tests that sets and waits on descriptors do not involve the daemon, and that an idle daemon makes
// no system call. The tests observe the daemon with /proc and strace(1).
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

constexpr int pairs = 100'000;

void set_and_consume(const Event& event, int times)
{
    for (int i = 0; i < times; ++i) {
        value_or_throw(event.set());
        require(value_or_throw(event.wait(default_timeout)) == 1, "the event is not set");
        if (event.mode() == Mode::manual)
            value_or_throw(event.clear());
    }
}

TEST_CASE(
    "100,000 pairs of set and wait on a descriptor cost the daemon no CPU time and no system call")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    REQUIRE(client.create("e", {.mode = mode}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();

    set_and_consume(event, pairs);

    CHECK(daemon.usage() == before);
    const auto after_one_call = [&] {
        value_or_throw(client.status());
        REQUIRE(daemon.is_idle());
        return daemon.usage();
    };
    // Checks that a single call to the daemon changes usage(). The equal values of usage() above
    // therefore prove that the daemon did nothing.
    CHECK_FALSE(after_one_call() == before);
}

TEST_CASE(
    "strace sees no system call of the daemon during sets and waits, and sees one during a call")
{
    skip_unless_strace();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::automatic}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(daemon.is_idle());
    CHECK(trace_system_calls(daemon, [&] { set_and_consume(event, 10'000); }) ==
          std::vector<std::string>{});
    REQUIRE(daemon.is_idle());
    CHECK_FALSE(trace_system_calls(daemon, [&] {
                    value_or_throw(client.status());
                    REQUIRE(daemon.is_idle());
                }).empty());
}

TEST_CASE("two processes that signal each other by descriptors do not wake the daemon")
{
    constexpr int turns = 10'000;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("ping", {.mode = Mode::automatic}));
    REQUIRE(client.create("pong", {.mode = Mode::automatic}));
    Worker other{[&](const WorkerSocket& parent) {
        const auto worker_client = daemon.client();
        const auto ping = value_or_throw(worker_client.open("ping"));
        const auto pong = value_or_throw(worker_client.open("pong"));
        parent.send(0);
        for (int i = 0; i < turns; ++i) {
            require(value_or_throw(ping.wait(default_timeout)) == 1, "no ping arrived");
            value_or_throw(pong.set());
        }
        parent.receive();
    }};
    other.receive();
    const auto ping = value_or_throw(client.open("ping"));
    const auto pong = value_or_throw(client.open("pong"));
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();

    for (int i = 0; i < turns; ++i) {
        value_or_throw(ping.set());
        REQUIRE(value_or_throw(pong.wait(default_timeout)) == 1);
    }

    CHECK(daemon.usage() == before);
    other.send(0);
    CHECK(other.wait() == 0);
}

// An idle daemon with objects, waiting clients and a monitor.
struct IdleDaemon {
    IdleDaemon()
    {
        const auto client = daemon.client();
        for (int i = 0; i < 100; ++i)
            REQUIRE(client.create("e/" + std::to_string(i), {.mode = static_cast<Mode>(i % 4)}));
        pulse.emplace(value_or_throw(client.open("e/3")));
        for (int i = 0; i < 10; ++i) {
            waiting.emplace_back(daemon.path())
                .call("Wait",
                      {{"items", items({"e/0", "not/there"})}, {"timeoutNSec", 3'600'000'000'000}});
            REQUIRE(daemon.has_waits("e/0", i + 1));
        }
        monitor.call("Monitor", Json::object(), "more");
        while (monitor.reply()["parameters"]["change"] != "ready") {
        }
        REQUIRE(daemon.is_idle());
    }
    // Waits for `span`. Returns false as soon as the monitor receives a message.
    bool is_quiet(nanoseconds span) const { return !await_readable(monitor.socket().get(), span); }

    DaemonProcess daemon{{"--idle-exit", "1h"}};
    std::optional<Event> pulse;
    std::vector<WireClient> waiting;
    WireClient monitor{daemon.path()};
};

TEST_CASE("an idle daemon with objects, clients and waits makes no system call")
{
    const IdleDaemon idle;
    const auto before = idle.daemon.usage();

    CHECK(idle.is_quiet(500ms));

    CHECK(idle.daemon.usage() == before);
}

TEST_CASE("strace sees no system call of an idle daemon with objects, clients and waits")
{
    skip_unless_strace();
    const IdleDaemon idle;
    CHECK(trace_system_calls(idle.daemon, [&] { CHECK(idle.is_quiet(500ms)); }) ==
          std::vector<std::string>{});
}

// A daemon with 10,000 objects, three of which are open.
struct LargeDaemon {
    LargeDaemon()
    {
        constexpr int count = 10'000;
        for (int i = 0; i < count; ++i) {
            const auto name = "n/" + std::to_string(i);
            if (i % 5 == 4)
                wire.call("Arm", {{"name", name}, {"intervalNSec", 1'000'000}});
            else
                wire.call("CreateEvent",
                          {{"name", name}, {"mode", to_string(static_cast<Mode>(i % 5))}});
            if (i % 500 == 499)
                for (int j = 0; j < 500; ++j)
                    REQUIRE_FALSE(wire.reply().contains("error"));
        }
        const auto client = daemon.client();
        event.emplace(value_or_throw(client.open("n/0")));
        pulse.emplace(value_or_throw(client.open("n/3")));
        timer.emplace(value_or_throw(client.open_timer("n/4")));
        REQUIRE(daemon.is_idle());
    }
    // Waits for `span`. Meanwhile the open timer expires each millisecond. The daemon is not
    // involved.
    void wait_for_time(nanoseconds span) const
    {
        value_or_throw(timer->wait(0ns));
        CHECK_FALSE(await_readable(wire.socket().get(), span));
        CHECK(value_or_throw(timer->wait(0ns)) >= span / 2ms);
    }

    DaemonProcess daemon;
    WireClient wire{daemon.path()};
    std::optional<Event> event;
    std::optional<Event> pulse;
    std::optional<Timer> timer;
};

TEST_CASE("a daemon with 10,000 objects makes no system call in ten seconds", "[alone]")
{
    const LargeDaemon large;
    const auto before = large.daemon.usage();
    large.wait_for_time(10s);
    CHECK(large.daemon.usage() == before);
}

TEST_CASE("strace sees no system call of a daemon with 10,000 objects", "[alone]")
{
    skip_unless_strace();
    const LargeDaemon large;
    CHECK(trace_system_calls(large.daemon, [&] { large.wait_for_time(500ms); }) ==
          std::vector<std::string>{});
}

TEST_CASE("the daemon watches nothing after the last wait and monitor ended")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::automatic}));
    const auto event = value_or_throw(client.open("e"));
    {
        WireClient monitor{daemon.path()};
        monitor.call("Monitor", Json::object(), "more");
        WireClient waiting{daemon.path()};
        waiting.call("Wait", {{"items", items({"e"})}});
        REQUIRE(daemon.has_waits("e", 1));
    }
    REQUIRE(poll_until([&] { return value_or_throw(client.status()).connections == 1; }));
    REQUIRE(daemon.is_idle());
    const auto before = daemon.usage();

    set_and_consume(event, 1'000);

    CHECK(daemon.usage() == before);
}

} // namespace
} // namespace evfd::e2e
