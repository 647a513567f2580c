// Processes that signal each other by name, through the real daemon.
#include "tests/support/daemon_process.h"

#include <poll.h>

#include <memory>

namespace evfd::e2e {
namespace {

constexpr std::size_t crowd = 100;

// Says 0 when it has what it needs, and waits by the library when it is told to go; then it says
// what the wait gave.
std::vector<std::unique_ptr<Worker>> start_waiters(const Daemon& daemon, std::string name,
                                                   std::size_t count)
{
    std::vector<std::unique_ptr<Worker>> waiters;
    for (std::size_t i = 0; i < count; ++i)
        waiters.push_back(std::make_unique<Worker>([&](const Line& line) {
            const auto event = must(daemon.client().open(name));
            line.say(0);
            line.say(static_cast<std::uint64_t>(must(event.wait(patience))));
            line.hear(); // Keeps its descriptor until it is told to end.
        }));
    for (const auto& waiter : waiters)
        waiter->hear();
    return waiters;
}

// The same, through the daemon.
std::vector<std::unique_ptr<Worker>> start_remote_waiters(const Daemon& daemon, std::string name,
                                                          std::size_t count)
{
    std::vector<std::unique_ptr<Worker>> waiters;
    for (std::size_t i = 0; i < count; ++i)
        waiters.push_back(std::make_unique<Worker>([&](const Line& line) {
            const std::vector<std::string> names{name};
            const auto fired = must(daemon.client().wait(names));
            line.say(static_cast<std::uint64_t>(fired.front().count));
            line.hear();
        }));
    REQUIRE(daemon.has_waits(name, static_cast<std::int64_t>(count)));
    return waiters;
}

// Hears `count` of them; which these were is not said.
std::size_t released(const std::vector<std::unique_ptr<Worker>>& waiters, std::size_t count)
{
    std::vector<pollfd> wanted;
    for (const auto& waiter : waiters)
        wanted.push_back({waiter->fd().get(), POLLIN, 0});
    std::size_t heard = 0;
    while (heard < count) {
        if (::poll(wanted.data(), wanted.size(), static_cast<int>(patience / 1ms)) < 1)
            return heard;
        for (std::size_t i = 0; i < wanted.size(); ++i)
            if (wanted[i].revents != 0) {
                require(waiters[i]->hear() == 1, "a wait ended without a set");
                wanted[i].fd = -1;
                ++heard;
            }
    }
    // Nobody else by now.
    return heard + static_cast<std::size_t>(::poll(wanted.data(), wanted.size(), 0));
}

TEST_CASE("a script waits for a name before it is created and before it is set")
{
    const Daemon daemon;
    Reading waiting{daemon.control({"wait", "db/ready", "--json"})};
    REQUIRE(daemon.has_waits("db/ready", 1));

    CHECK(daemon.done({"create", "db/ready"}).empty());
    REQUIRE(daemon.has_waits("db/ready", 1)); // Which is no end of the wait.
    CHECK(Json::parse(daemon.done({"show", "db/ready", "--json"}))["waits"] == 1);
    daemon.done({"set", "db/ready"});

    CHECK(Json::parse(*waiting.line()) ==
          Json::parse(R"({"fired":[{"name":"db/ready","count":1}]})"));
    CHECK(waiting.wait() == 0);
    CHECK(waiting.errors().empty());
}

TEST_CASE("a program that holds the descriptor and a script signal each other")
{
    const Daemon daemon;
    daemon.done({"create", "to/program"});
    daemon.done({"create", "to/script", "--mode", "auto"});
    Worker program{[&](const Line& line) {
        const auto client = daemon.client();
        const auto to_program = must(client.open("to/program"));
        const auto to_script = must(client.open("to/script"));
        line.say(0);
        require(must(to_program.wait(patience)) == 1, "not released");
        must(to_script.set());
    }};
    program.hear();
    Reading script{daemon.control({"wait", "to/script", "--timeout", "1m"})};
    REQUIRE(daemon.has_waits("to/script", 1));

    daemon.done({"set", "to/program"});

    CHECK(script.wait() == 0);
    CHECK(program.wait() == 0);
}

TEST_CASE("one set of a manual event releases all 100 waiters, however they wait")
{
    const Daemon daemon;
    daemon.done({"create", "go"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters =
        is_remote ? start_remote_waiters(daemon, "go", crowd) : start_waiters(daemon, "go", crowd);
    std::vector<Reading> scripts;
    scripts.reserve(5);
    for (int i = 0; i < 5; ++i)
        scripts.emplace_back(daemon.control({"wait", "go"}));
    REQUIRE(daemon.has_waits("go", is_remote ? 105 : 5));

    daemon.done({"set", "go"});

    CHECK(released(waiters, crowd) == crowd);
    for (auto& script : scripts)
        CHECK(script.wait() == 0);
    for (const auto& waiter : waiters) {
        waiter->say(0);
        CHECK(waiter->wait() == 0);
    }
    CHECK(daemon.has_waits("go", 0));
}

TEST_CASE("one set of an auto event releases exactly one of 100 waiters")
{
    const Daemon daemon;
    daemon.done({"create", "turn", "--mode", "auto"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters = is_remote ? start_remote_waiters(daemon, "turn", crowd)
                                   : start_waiters(daemon, "turn", crowd);

    daemon.done({"set", "turn"});

    CHECK(released(waiters, 1) == 1);
    if (is_remote)
        CHECK(daemon.has_waits("turn", 99));
    const auto shown = Json::parse(daemon.done({"show", "turn", "--json"}));
    CHECK(shown["count"] == 0); // It was taken, so there is nothing that could release another.
    CHECK(released(waiters, 0) == 0);
}

TEST_CASE("n tokens of a semaphore release exactly n of 100 waiters")
{
    const Daemon daemon;
    daemon.done({"create", "slots", "--mode", "semaphore"});
    const bool is_remote = GENERATE(false, true);
    const auto waiters = is_remote ? start_remote_waiters(daemon, "slots", crowd)
                                   : start_waiters(daemon, "slots", crowd);

    daemon.done({"set", "slots", "--count", "37"});

    CHECK(released(waiters, 37) == 37);
    if (is_remote)
        CHECK(daemon.has_waits("slots", 63));
    CHECK(Json::parse(daemon.done({"show", "slots", "--json"}))["count"] == 0);
    CHECK(released(waiters, 0) == 0);
}

TEST_CASE("tokens that nobody waited for stay for those who come")
{
    const Daemon daemon;
    daemon.done({"create", "slots", "--mode", "semaphore", "--initial", "2"});
    daemon.done({"set", "slots"});
    for (int left = 2; left >= 0; --left) {
        daemon.done({"wait", "slots"});
        CHECK(Json::parse(daemon.done({"show", "slots", "--json"}))["count"] == left);
    }
    CHECK(daemon.ctl({"wait", "slots", "--timeout", "0"}).status == 124);
}

TEST_CASE("those who wait through the daemon to take are served in the order of arrival")
{
    const Daemon daemon;
    const auto mode = GENERATE("auto"s, "semaphore"s);
    Wire owner{daemon.path()};
    owner.ask("CreateEvent", {{"name", "queue"}, {"mode", mode}});
    std::vector<Wire> waiting;
    for (int i = 0; i < 20; ++i) {
        waiting.emplace_back(daemon.path()).call("Wait", {{"names", {"queue"}}});
        REQUIRE(daemon.has_waits("queue", i + 1));
    }

    // The last set comes from one who holds the descriptor: that is no other queue.
    const auto holder = must(daemon.client().open("queue"));
    for (std::size_t i = 0; i < waiting.size(); ++i) {
        if (i % 2 == 0)
            owner.ask("Set", {{"names", {"queue"}}});
        else
            REQUIRE(holder.set());
        INFO(i);
        CHECK(waiting[i].reply()["parameters"]["fired"][0]["name"] == "queue");
        CHECK(owner.ask("Show", {{"name", "queue"}})["parameters"]["object"]["waits"] ==
              waiting.size() - i - 1);
    }
}

TEST_CASE("who leaves the queue takes nothing with him")
{
    const Daemon daemon;
    daemon.done({"create", "queue", "--mode", "auto"});
    std::optional<Wire> first{daemon.path()};
    first->call("Wait", {{"names", {"queue"}}});
    REQUIRE(daemon.has_waits("queue", 1));
    Reading second{daemon.control({"wait", "queue"})};
    REQUIRE(daemon.has_waits("queue", 2));

    first.reset();
    REQUIRE(daemon.has_waits("queue", 1));
    daemon.done({"set", "queue"});

    CHECK(second.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
