// Tests of waits through the daemon: for any name or for all names, with a timeout, and for objects
// that are deleted during the wait.
#include "client/core/connection_pool.h"
#include "tests/support/daemon_process.h"

#include <signal.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

std::int64_t count_of(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}))["count"].get<std::int64_t>();
}

TEST_CASE("a wait for all consumes from all or from none")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "auto"});
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    daemon.checked_ctl({"create", "m"});
    OutputReader waiting{daemon.ctl_command({"wait", "a", "s", "m", "later", "--json"})};
    REQUIRE(daemon.has_waits("a", 1));

    daemon.checked_ctl({"set", "a"});
    daemon.checked_ctl({"set", "s", "--count", "2"});
    daemon.checked_ctl({"set", "m"});
    // The wait for all objects consumes nothing until it can consume from all of them.
    CHECK(count_of(daemon, "a") == 1);
    CHECK(count_of(daemon, "s") == 2);
    daemon.checked_ctl({"create", "later", "--mode", "auto"});
    // Another waiter can consume the token of "a", because the wait for all objects has not
    // consumed it.
    daemon.checked_ctl({"wait", "a"});
    daemon.checked_ctl({"set", "later"});
    CHECK(count_of(daemon, "s") == 2);
    CHECK(count_of(daemon, "later") == 1);
    CHECK(daemon.has_waits("a", 1));
    // Clears the manual event "m". The wait for all objects still ends, because "m" was set during
    // the wait.
    daemon.checked_ctl({"clear", "m"});
    daemon.checked_ctl({"set", "a"});

    CHECK(without_ids(Json::parse(*waiting.read_line())) ==
          Json::parse(R"({"fired":[{"name":"a","count":1,"index":0},
              {"name":"s","count":1,"index":1},{"name":"m","count":1,"index":2},
              {"name":"later","count":1,"index":3}]})"));
    CHECK(waiting.wait() == 0);
    CHECK(count_of(daemon, "a") == 0);
    CHECK(count_of(daemon, "s") == 1);
    CHECK(count_of(daemon, "later") == 0);
}

TEST_CASE("a wait for any prints the name that fired and consumes only from it")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "auto"});
    daemon.checked_ctl({"create", "b", "--mode", "auto"});
    OutputReader waiting{daemon.ctl_command({"wait", "--any", "a", "b", "c"})};
    REQUIRE(daemon.has_waits("a", 1));

    daemon.checked_ctl({"set", "b"});

    CHECK(waiting.read_line() == "b");
    CHECK_FALSE(waiting.read_line());
    CHECK(waiting.wait() == 0);
    daemon.checked_ctl({"set", "a", "b"});
    CHECK(daemon.checked_ctl({"wait", "--any", "b", "a"}) == "b\n");
    CHECK(count_of(daemon, "a") == 1);
    CHECK(count_of(daemon, "b") == 0);
}

TEST_CASE("a wait with timeout 0 consumes what is available")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "auto", "--initial", "1"});
    CHECK(daemon.checked_ctl({"wait", "a", "--timeout", "0"}).empty());
    CHECK(daemon.ctl({"wait", "a", "--timeout", "0"}).status == 124);
}

TEST_CASE("a wait does not time out before its timeout")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    const auto [name, timeout, at_least] = GENERATE(table<std::string, std::string, nanoseconds>({
        {"a", "250ms", 250ms},
        {"a", "0.05", 50ms},
        {"not/there", "100ms", 100ms},
        {"not/there", "250us", 250us},
    }));
    const auto begun = monotonic_now();
    const auto ran = daemon.ctl({"wait", name, "--timeout", timeout});
    CHECK(monotonic_now() - begun >= at_least);
    CHECK(ran.status == 124);
    CHECK(ran.out.empty());
    CHECK(daemon.has_waits(name, 0));
}

TEST_CASE("a wait accepts the longest timeout")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{daemon.ctl_command({"wait", "e", "--timeout", "9223372036.854775807"})};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.checked_ctl({"set", "e"});
    CHECK(waiting.wait() == 0);
    CHECK(value_or_throw(value_or_throw(daemon.client().open("e")).wait(nanoseconds::max())) == 1);
}

TEST_CASE("a set ends a wait that has a timeout")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    OutputReader waiting{daemon.ctl_command({"wait", "a", "--timeout", "1h30m"})};
    REQUIRE(daemon.has_waits("a", 1));
    daemon.checked_ctl({"set", "a"});
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a wait for existing names reports the name that does not exist")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    const auto ran = daemon.ctl({"wait", "--existing", "a", "b/c"});
    CHECK(ran.status == 3);
    CHECK(ran.err.contains("'b/c'"));
    daemon.checked_ctl({"set", "a"});
    CHECK(daemon.ctl({"wait", "--existing", "a"}).status == 0);
}

TEST_CASE("a delete ends a wait for any or all with status 6")
{
    const DaemonProcess daemon;
    const auto require = GENERATE("--all"s, "--any"s);
    daemon.checked_ctl({"create", "a"});
    daemon.checked_ctl({"create", "b", "--mode", "semaphore"});
    OutputReader waiting{daemon.ctl_command({"wait", require, "a", "b"})};
    REQUIRE(daemon.has_waits("a", 1));

    daemon.checked_ctl({"delete", "b"});

    CHECK(waiting.wait() == 6);
    CHECK(waiting.errors().contains("'b' was deleted"));
    CHECK(daemon.has_waits("a", 0));
}

TEST_CASE("SIGINT ends a wait at once, and the daemon removes it")
{
    const DaemonProcess daemon;
    const std::vector<std::string> verb =
        GENERATE(std::vector{"wait"s, "a"s}, std::vector{"wait"s, "a"s, "--timeout"s, "1h"s});
    OutputReader waiting{daemon.ctl_command(verb)};
    REQUIRE(daemon.has_waits("a", 1));
    waiting.process().signal(SIGINT);
    CHECK(waiting.wait() == -SIGINT);
    CHECK(daemon.has_waits("a", 0));
}

TEST_CASE("a temporary object lives until the last descriptor of its connection is closed")
{
    const DaemonProcess daemon;
    OutputReader waiting{daemon.ctl_command({"wait", "mine"})};
    REQUIRE(daemon.has_waits("mine", 1));
    std::optional<WireClient> owner{daemon.path()};
    REQUIRE_FALSE(owner->request("CreateEvent", {{"name", "mine"}, {"lifetime", "session"}})
                      .contains("error"));
    CHECK(Json::parse(daemon.checked_ctl({"show", "mine", "--json"}))["lifetime"] == "session");

    // Passes the owner's connection to sleep(1), which keeps the descriptor open but does not use
    // it.
    auto heir = start({.argv = {"/bin/sleep", "1000"}, .inherited_fds = {owner->socket().get()}});
    REQUIRE(poll_until(
        [&] { return read_file("/proc/" + std::to_string(heir.pid()) + "/comm") == "sleep\n"; }));
    owner.reset();
    // The connection continues, because sleep(1) still has a descriptor of it. If the connection
    // had ended, the daemon would have deleted "mine" before it read this call.
    CHECK(daemon.ctl({"show", "mine"}).status == 0);
    CHECK(daemon.has_waits("mine", 1));
    heir.signal(SIGKILL);
    heir.wait();

    CHECK(waiting.wait() == 6);
    CHECK(daemon.ctl({"show", "mine"}).status == 3);
    CHECK(daemon.has_waits("mine", 0));
}

TEST_CASE("a temporary object of a command is deleted after the command, and its name is free")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "mine", "--temporary"});
    CHECK(poll_until([&] { return daemon.ctl({"show", "mine"}).status == 3; }));
    daemon.checked_ctl({"create", "mine"});
}

TEST_CASE("a wait of the library ends when both of its names were created and set")
{
    const DaemonProcess daemon;
    Worker waiter{[&](const WorkerSocket& parent) {
        const std::vector names{"x"s, "y"s};
        const auto fired =
            value_or_throw(daemon.client().wait(names, {.timeout = default_timeout}));
        parent.send(fired.size());
    }};
    // has_waits() counts all waits in the daemon, because no object has the name "x". A wait for
    // two names counts as two.
    REQUIRE(daemon.has_waits("x", 2));
    const auto client = daemon.client();
    REQUIRE(client.create("y", {.mode = Mode::semaphore, .initial = 1}));
    REQUIRE(client.create("x", {.initial = 1}));
    CHECK(waiter.receive() == 2);
    CHECK(waiter.wait() == 0);
    CHECK(count_of(daemon, "y") == 0);
}

// The client waits for "one" while the daemon is stopped, and gives up. After SIGCONT the daemon
// replies to that wait, while the client already waits again.
TEST_CASE("the late reply to an abandoned wait does not reach the next wait")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "one", "--mode", "auto"});
    daemon.checked_ctl({"create", "two", "--mode", "auto"});
    evfd::ConnectionPool client{Address::at(daemon.path()), 200ms, 1ms};
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    const auto abandoned = client.wait({.items = {{{*Name::parse("one")}}}}, std::nullopt);
    REQUIRE_FALSE(abandoned);
    CHECK(abandoned.error().code == ErrorCode::no_daemon);
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
    daemon.checked_ctl({"set", "one"});
    const auto next = client.wait({.items = {{{*Name::parse("two")}}}}, monotonic_now());
    REQUIRE_FALSE(next);
    CHECK(next.error().code == ErrorCode::timed_out);
}

} // namespace
} // namespace evfd::e2e
