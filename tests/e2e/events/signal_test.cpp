// Tests of processes that signal each other by name, through the real daemon.
#include "tests/support/daemon_process.h"

#include <poll.h>

#include <memory>

namespace evfd::e2e {
namespace {

constexpr std::size_t waiter_count = 100;

// Starts processes that wait for the event with the library. Each process sends 0 to the test
// before the wait, and the result after the wait.
std::vector<std::unique_ptr<Worker>> start_waiters(const DaemonProcess& daemon, std::string name,
                                                   std::size_t count)
{
    std::vector<std::unique_ptr<Worker>> waiters;
    for (std::size_t i = 0; i < count; ++i)
        waiters.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const auto event = value_or_throw(daemon.client().open(name));
            parent.send(0);
            parent.send(static_cast<std::uint64_t>(value_or_throw(event.wait(default_timeout))));
            parent.receive(); // Keeps the event open until the test ends this process.
        }));
    for (const auto& waiter : waiters)
        waiter->receive();
    return waiters;
}

// Starts processes that wait for the event by name, through the daemon.
std::vector<std::unique_ptr<Worker>> start_remote_waiters(const DaemonProcess& daemon,
                                                          std::string name, std::size_t count)
{
    std::vector<std::unique_ptr<Worker>> waiters;
    for (std::size_t i = 0; i < count; ++i)
        waiters.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            const std::vector<std::string> names{name};
            const auto fired = value_or_throw(daemon.client().wait(names));
            parent.send(static_cast<std::uint64_t>(fired.front().count));
            parent.receive();
        }));
    REQUIRE(daemon.has_waits(name, static_cast<std::int64_t>(count)));
    return waiters;
}

// Receives the results of `count` waiters, in any order. Returns the number of released waiters.
std::size_t count_released(const std::vector<std::unique_ptr<Worker>>& waiters, std::size_t count)
{
    std::vector<pollfd> wanted;
    for (const auto& waiter : waiters)
        wanted.push_back({waiter->fd().get(), POLLIN, 0});
    std::size_t received = 0;
    while (received < count) {
        if (::poll(wanted.data(), wanted.size(), static_cast<int>(default_timeout / 1ms)) < 1)
            return received;
        for (std::size_t i = 0; i < wanted.size(); ++i)
            if (wanted[i].revents != 0) {
                require(waiters[i]->receive() == 1, "a wait ended without a set");
                wanted[i].fd = -1;
                ++received;
            }
    }
    // If more than `count` waiters have sent a result, counts them all. The test then fails,
    // because too many waiters were released.
    return received + static_cast<std::size_t>(::poll(wanted.data(), wanted.size(), 0));
}

TEST_CASE("a wait begins before its name is created and before it is set")
{
    const DaemonProcess daemon;
    OutputReader waiting{daemon.ctl_command({"wait", "db/ready", "--json"})};
    REQUIRE(daemon.has_waits("db/ready", 1));

    CHECK(daemon.checked_ctl({"create", "db/ready"}).empty());
    // The wait continues, because the event now exists but is not set.
    REQUIRE(daemon.has_waits("db/ready", 1));
    CHECK(Json::parse(daemon.checked_ctl({"show", "db/ready", "--json"}))["waits"] == 1);
    daemon.checked_ctl({"set", "db/ready"});

    CHECK(without_ids(Json::parse(*waiting.read_line())) ==
          Json::parse(R"({"fired":[{"name":"db/ready","count":1,"index":0}]})"));
    CHECK(waiting.wait() == 0);
    CHECK(waiting.errors().empty());
}

TEST_CASE("a program with a descriptor and a script signal each other")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "to/program"});
    daemon.checked_ctl({"create", "to/script", "--mode", "auto"});
    Worker program{[&](const WorkerSocket& parent) {
        const auto client = daemon.client();
        const auto to_program = value_or_throw(client.open("to/program"));
        const auto to_script = value_or_throw(client.open("to/script"));
        parent.send(0);
        require(value_or_throw(to_program.wait(default_timeout)) == 1, "the wait did not end");
        value_or_throw(to_script.set());
    }};
    program.receive();
    OutputReader script{daemon.ctl_command({"wait", "to/script", "--timeout", "1m"})};
    REQUIRE(daemon.has_waits("to/script", 1));

    daemon.checked_ctl({"set", "to/program"});

    CHECK(script.wait() == 0);
    CHECK(program.wait() == 0);
}

TEST_CASE("one set of a manual event releases all 100 waiters, however they wait")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "go"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters = is_remote ? start_remote_waiters(daemon, "go", waiter_count)
                                   : start_waiters(daemon, "go", waiter_count);
    std::vector<OutputReader> scripts;
    scripts.reserve(5);
    for (int i = 0; i < 5; ++i)
        scripts.emplace_back(daemon.ctl_command({"wait", "go"}));
    REQUIRE(daemon.has_waits("go", is_remote ? 105 : 5));

    daemon.checked_ctl({"set", "go"});

    CHECK(count_released(waiters, waiter_count) == waiter_count);
    for (auto& script : scripts)
        CHECK(script.wait() == 0);
    for (const auto& waiter : waiters) {
        waiter->send(0);
        CHECK(waiter->wait() == 0);
    }
    CHECK(daemon.has_waits("go", 0));
}

TEST_CASE("one set of an auto event releases exactly one of 100 waiters")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "turn", "--mode", "auto"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters = is_remote ? start_remote_waiters(daemon, "turn", waiter_count)
                                   : start_waiters(daemon, "turn", waiter_count);

    daemon.checked_ctl({"set", "turn"});

    CHECK(count_released(waiters, 1) == 1);
    if (is_remote)
        CHECK(daemon.has_waits("turn", 99));
    const auto shown = Json::parse(daemon.checked_ctl({"show", "turn", "--json"}));
    // The waiter has consumed the token, so no other waiter can be released.
    CHECK(shown["count"] == 0);
    CHECK(count_released(waiters, 0) == 0);
}

TEST_CASE("n tokens of a semaphore release exactly n of 100 waiters")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "slots", "--mode", "semaphore"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters = is_remote ? start_remote_waiters(daemon, "slots", waiter_count)
                                   : start_waiters(daemon, "slots", waiter_count);

    daemon.checked_ctl({"set", "slots", "--count", "37"});

    CHECK(count_released(waiters, 37) == 37);
    if (is_remote)
        CHECK(daemon.has_waits("slots", 63));
    CHECK(Json::parse(daemon.checked_ctl({"show", "slots", "--json"}))["count"] == 0);
    CHECK(count_released(waiters, 0) == 0);
}

TEST_CASE("tokens without a waiter stay for later waits")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "slots", "--mode", "semaphore", "--initial", "2"});
    daemon.checked_ctl({"set", "slots"});
    for (int left = 2; left >= 0; --left) {
        daemon.checked_ctl({"wait", "slots"});
        CHECK(Json::parse(daemon.checked_ctl({"show", "slots", "--json"}))["count"] == left);
    }
    CHECK(daemon.ctl({"wait", "slots", "--timeout", "0"}).status == 124);
}

TEST_CASE("consuming waits through the daemon are served in order of arrival")
{
    const DaemonProcess daemon;
    const auto mode = GENERATE("auto"s, "semaphore"s);
    WireClient owner{daemon.path()};
    owner.request("CreateEvent", {{"name", "queue"}, {"mode", mode}});
    std::vector<WireClient> waiting;
    for (int i = 0; i < 20; ++i) {
        waiting.emplace_back(daemon.path()).call("Wait", {{"items", items({"queue"})}});
        REQUIRE(daemon.has_waits("queue", i + 1));
    }

    // The test sets the event by name and through its descriptor in turn. Each time, the daemon
    // must release the first waiter in the queue.
    const auto holder = value_or_throw(daemon.client().open("queue"));
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        if (i % 2 == 0)
            owner.request("Set", {{"items", items({"queue"})}});
        else
            REQUIRE(holder.set());
        INFO(i);
        CHECK(waiting[i].reply()["parameters"]["fired"][0]["name"] == "queue");
        CHECK(owner.request("Show", {{"name", "queue"}})["parameters"]["object"]["waits"] ==
              waiting.size() - i - 1);
    }
}

TEST_CASE("a cancelled wait consumes no token")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "queue", "--mode", "auto"});
    std::optional<WireClient> first{daemon.path()};
    first->call("Wait", {{"items", items({"queue"})}});
    REQUIRE(daemon.has_waits("queue", 1));
    OutputReader second{daemon.ctl_command({"wait", "queue"})};
    REQUIRE(daemon.has_waits("queue", 2));

    first.reset();
    REQUIRE(daemon.has_waits("queue", 1));
    daemon.checked_ctl({"set", "queue"});

    CHECK(second.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
