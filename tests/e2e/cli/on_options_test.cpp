// evfdctl on: what the command is told, and what becomes of sets that come while it runs.
#include "tests/support/daemon_process.h"
#include "tests/support/blocking_command.h"

#include <signal.h>

namespace evfd::e2e {
namespace {

std::vector<std::string> on(std::vector<std::string> words, const Gate& gate,
                            const std::string& before = {})
{
    words.insert(words.begin(), "on");
    words.insert(words.end(), {"--", "/bin/sh", "-c", before + gate.script()});
    return words;
}

std::int64_t count_of(const Daemon& daemon, const std::string& name)
{
    return Json::parse(daemon.done({"show", name, "--json"}))["count"].get<std::int64_t>();
}

std::int64_t subscriptions(const Daemon& daemon, const std::string& name)
{
    return Json::parse(daemon.done({"show", name, "--json"})).value("subscriptions", 0);
}

TEST_CASE("on puts the name for each pair of braces")
{
    const Daemon daemon;
    daemon.done({"create", "db/ready", "--initial", "1"});
    CHECK(daemon.done({"on", "db/ready", "--once", "--", "echo", "{}", "<{}{}>", "{", "}", "{ }",
                       "x"}) == "db/ready <db/readydb/ready> { } { } x\n");
}

TEST_CASE("on with --merge takes the tokens that are there together")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "5"});
    Reading following{daemon.control(on({"s", "--merge"}, gate))};
    CHECK(gate.heard() == "s 5");
    daemon.done({"set", "s", "--count", "2"});
    daemon.done({"set", "s"});
    CHECK(gate.is_silent());
    gate.let_go();
    CHECK(gate.heard() == "s 3");
    gate.let_go();
    CHECK(daemon.has_waits("s", 1));
    CHECK(gate.is_silent());
    CHECK(count_of(daemon, "s") == 0);
}

TEST_CASE("on with --merge puts all back when a signal comes while it takes them")
{
    const Daemon daemon;
    const auto client = daemon.client();
    const auto left = [&] { return must(client.show("s")).count.value(); };
    daemon.done({"create", "s", "--mode", "semaphore"});
    Reading following{daemon.control({"on", "s", "--merge", "--", "echo", "run"})};
    REQUIRE(daemon.has_waits("s", 1));
    REQUIRE(client.set(std::vector{"s"s}, max_tokens_per_set));
    REQUIRE(eventually([&] { return left() < max_tokens_per_set - 1; })); // The first was by wait.
    following.process().signal(SIGTERM);
    CHECK(following.wait() == -SIGTERM);
    CHECK_FALSE(following.line());
    CHECK(left() == max_tokens_per_set);
}

TEST_CASE("on with --merge runs once for what is merged anyway, and counts what is counted")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto [mode, second] = GENERATE(table<std::string, std::string>({
        {"manual", "e 1"},
        {"auto", "e 1"},
        {"pulse", "e 2"},
    }));
    CAPTURE(mode);
    daemon.done({"create", "e", "--mode", mode});
    Reading following{daemon.control(on({"e", "--merge"}, gate))};
    REQUIRE(eventually([&] { return mode != "pulse" || subscriptions(daemon, "e") == 1; }));
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1");
    daemon.done({"set", "e"});
    daemon.done({"set", "e"});
    gate.let_go();
    CHECK(gate.heard() == second);
}

TEST_CASE("on with --restart ends a command that runs, and the new one is told of both sets")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    daemon.done({"create", "e", "--mode", mode});
    Reading following{daemon.control(on({"e", "--restart"}, gate))};
    REQUIRE(eventually([&] { return mode != "pulse" || subscriptions(daemon, "e") == 1; }));
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1");
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 2");
    gate.let_go(); // The one that is left.
    REQUIRE(eventually([&] { return child_of(following.process().pid()) == 0; }));
    CHECK(gate.is_silent());
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1"); // What was done before is done.
    CHECK(following.errors().empty());
}

TEST_CASE("on with --restart runs anew when a timer is armed to expire during the command")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"arm", "t", "--in", "1ms"});
    Reading following{daemon.control(on({"t", "--restart"}, gate))};
    CHECK(gate.heard() == "t 1");
    daemon.done({"arm", "t", "--in", "1ms"});
    CHECK(gate.heard() == "t 2");
}

TEST_CASE("on with --restart loses no token, however fast they come")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore"});
    Reading following{daemon.control(on({"s", "--restart"}, gate))};
    const auto tokens = daemon.client().open("s");
    REQUIRE(tokens);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(tokens->set());
        if (i % 50 == 0)
            gate.heard();
    }
    // No command came to its end, so the last one is told of all.
    std::string heard;
    do {
        heard = gate.heard();
    } while (heard != "s 200");
    CHECK(count_of(daemon, "s") == 0);
}

TEST_CASE("on with --restart ends what a shell started as well")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore"});
    // Its child alone waits for us, and hears of a signal only if that goes to all.
    Reading following{
        daemon.control(on({"s", "--restart", "--grace", "1h"}, gate,
                          "trap : TERM; /bin/sh -c '" + gate.script() + "'; exit; "))};
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 1");
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 2");
}

TEST_CASE("on with --restart leaves nothing behind of what it ended")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore"});
    const auto deaf = "/bin/sh -c 'trap \"\" TERM; echo $$; read -r never <\"$0\"' " +
                      (daemon.directory() / "go") + " & trap 'exit 0' TERM; ";
    Reading following{daemon.control(on({"s", "--restart", "--grace", "1h"}, gate, deaf))};
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 1");
    const auto left = pidfd_of(static_cast<pid_t>(std::stol(following.line().value())));
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 2");
    CHECK(await_readable(left.get()));
}

TEST_CASE("on with --restart kills a command that does not end in time")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore"});
    Reading following{
        daemon.control(on({"s", "--restart", "--grace", "50ms"}, gate, "trap '' TERM; "))};
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 1");
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 2");
}

TEST_CASE("on with --restart puts back what it took for a command that is not run any more")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore");
    CAPTURE(mode);
    daemon.done({"create", "e", "--mode", mode});
    Reading following{
        daemon.control(on({"e", "--restart", "--grace", "1h"}, gate, "trap '' TERM; "))};
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1");
    daemon.done({"set", "e"});
    REQUIRE(eventually([&] { return count_of(daemon, "e") == 0; })); // It has it.
    following.process().signal(SIGTERM);
    gate.let_go();
    CHECK(following.wait() == -SIGTERM);
    CHECK(count_of(daemon, "e") == (mode == "semaphore" ? 2 : 1)); // Neither run is done.
}

TEST_CASE("on with --restart is for who may put back what it takes")
{
    skip_unless_root();
    const Daemon daemon;
    const auto [mode, status] = GENERATE(table<std::string, Status>({
        {"auto", 4},
        {"semaphore", 4},
        {"manual", 4},
        {"pulse", 6},
    }));
    CAPTURE(mode);
    daemon.done({"create", "e", "--mode", mode, "--rights", "0604"});
    auto command = daemon.control({"on", "e", "--restart", "--", "true"});
    command.user = User{stranger};
    Reading following{std::move(command)};
    if (mode == "pulse") {
        REQUIRE(eventually([&] { return subscriptions(daemon, "e") == 1; }));
        daemon.done({"delete", "e"});
    }
    CHECK(following.wait() == status);
    CHECK(following.errors().contains(mode == "pulse" ? "was deleted" : "w right"));
}

TEST_CASE("on with --restart and --once ends with the command that came to its end")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "1"});
    Reading following{daemon.control(on({"s", "--restart", "--once"}, gate))};
    CHECK(gate.heard() == "s 1");
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 2");
    gate.let_go(5);
    CHECK(following.wait() == 5);
    daemon.done({"set", "s"});
    CHECK(count_of(daemon, "s") == 1);
}

TEST_CASE("on with --restart ends with status 6 when the name is deleted, after the command")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    daemon.done({"create", "e", "--mode", mode});
    Reading following{daemon.control(on({"e", "--restart"}, gate))};
    REQUIRE(eventually([&] { return mode != "pulse" || subscriptions(daemon, "e") == 1; }));
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1");
    daemon.done({"delete", "e"});
    gate.let_go();
    CHECK(following.wait() == 6);
    CHECK(following.errors().contains("'e' was deleted"));
}

TEST_CASE("on takes a time to end only for a command that it may end")
{
    const Daemon daemon;
    const auto ran = daemon.ctl({"on", "e", "--grace", "1s", "--", "true"});
    CHECK(ran.status == 2);
    CHECK(daemon.ctl({"on", "e", "--restart", "--grace", "soon", "--", "true"}).status == 2);
}

} // namespace
} // namespace evfd::e2e
