// evfdctl on: a command run for each set, none of which is missed while it runs.
#include "tests/support/daemon_process.h"
#include "tests/support/blocking_command.h"

#include <signal.h>
#include <sys/syscall.h>

namespace evfd::e2e {
namespace {

std::vector<std::string> on(const std::string& name, const Gate& gate)
{
    return {"on", name, "--", "/bin/sh", "-c", gate.script()};
}

std::int64_t subscriptions(const Daemon& daemon, const std::string& name)
{
    return Json::parse(daemon.done({"show", name, "--json"})).value("subscriptions", 0);
}

TEST_CASE("on runs the command for each token, one after the other")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "jobs/s", "--mode", "semaphore", "--initial", "2"});
    Reading following{daemon.control(on("jobs/s", gate))};

    CHECK(gate.heard() == "jobs/s 1");
    daemon.done({"set", "jobs/s"}); // While it runs.
    CHECK(gate.is_silent());
    for (int i = 0; i < 2; ++i) {
        gate.let_go();
        CHECK(gate.heard() == "jobs/s 1");
    }
    gate.let_go();
    CHECK(daemon.has_waits("jobs/s", 1));
    CHECK(gate.is_silent());
}

TEST_CASE("on clears a manual event before the command runs, so that a set during it counts")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "m"});
    Reading following{daemon.control(on("m", gate))};
    REQUIRE(daemon.has_waits("m", 1));

    daemon.done({"set", "m"});
    CHECK(gate.heard() == "m 1");
    CHECK(daemon.ctl({"is-set", "m"}).status == 1);
    daemon.done({"set", "m"});
    gate.let_go();
    CHECK(gate.heard() == "m 1");
    gate.let_go();
    CHECK(daemon.has_waits("m", 1));
    CHECK(gate.is_silent());
}

TEST_CASE("on takes the set of an auto event that came while the command ran")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "a", "--mode", "auto"});
    Reading following{daemon.control(on("a", gate))};

    daemon.done({"set", "a"});
    CHECK(gate.heard() == "a 1");
    daemon.done({"set", "a"});
    daemon.done({"set", "a"}); // Sets before one takes it are one.
    gate.let_go();
    CHECK(gate.heard() == "a 1");
    gate.let_go();
    CHECK(daemon.has_waits("a", 1));
    CHECK(gate.is_silent());
}

TEST_CASE("on follows a pulse from the start, and tells how many came while the command ran")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "p", "--mode", "pulse"});
    Reading following{daemon.control(on("p", gate))};
    REQUIRE(eventually([&] { return subscriptions(daemon, "p") == 1; }));

    daemon.done({"set", "p"});
    CHECK(gate.heard() == "p 1");
    for (int i = 0; i < 3; ++i)
        daemon.done({"set", "p"});
    gate.let_go();
    CHECK(gate.heard() == "p 3");
    CHECK(subscriptions(daemon, "p") == 1);
    daemon.done({"set", "p", "--count", "2"});
    gate.let_go();
    CHECK(gate.heard() == "p 2");
}

TEST_CASE("on counts the expirations of a timer that passed while the command ran")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"arm", "t", "--every", "5ms"});
    Reading following{daemon.control(on("t", gate))};
    const auto expirations = [&] {
        return Json::parse(daemon.done({"show", "t", "--json"}))["timer"]["expirations"]
            .get<std::int64_t>();
    };
    const auto count = [](const std::string& heard) {
        return std::stoll(heard.substr(heard.find(' ')));
    };

    CHECK(count(gate.heard()) >= 1);
    const auto before = expirations();
    REQUIRE(eventually([&] { return expirations() >= before + 10; }));
    gate.let_go();
    CHECK(count(gate.heard()) >= 10);
}

TEST_CASE("on runs nothing for a timer that expired once, until it is armed anew")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"arm", "t", "--in", "1ms"});
    Reading following{daemon.control(on("t", gate))};
    CHECK(gate.heard() == "t 1");
    gate.let_go();
    CHECK(daemon.has_waits("t", 1));
    CHECK(gate.is_silent());

    daemon.done({"arm", "t", "--in", "1ms"});
    CHECK(gate.heard() == "t 1");
}

TEST_CASE("on waits for a name that is not there yet")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    Reading following{daemon.control(on("later", gate))};
    REQUIRE(daemon.has_waits("later", 1));

    daemon.done({"create", "later", "--mode", mode});
    daemon.done({"set", "later"});
    CHECK(gate.heard() == "later 1");
    daemon.done({"set", "later"});
    gate.let_go();
    CHECK(gate.heard() == "later 1");
}

TEST_CASE("on reports a command that fails and goes on")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "2"});
    Reading following{daemon.control(on("s", gate))};
    CHECK(gate.heard() == "s 1");
    gate.let_go(3);
    CHECK(gate.heard() == "s 1");
    CHECK(following.errors() == "evfdctl: /bin/sh for 's' ended with status 3\n");
}

TEST_CASE("on with --once ends with the command's exit status")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "9"});
    const auto once = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {"on", "s", "--once", "--"});
        return daemon.ctl(std::move(words));
    };
    CHECK(once({"/bin/sh", "-c", "exit 200"}).status == 200);
    CHECK(once({"true"}).status == 0);
    CHECK(once({"/bin/sh", "-c", "kill -9 $$"}).status == 128 + 9);
    const auto missing = once({"/nowhere/at/all", "--flag"});
    CHECK(missing.status == 127);
    CHECK(missing.err ==
          "evfdctl: /nowhere/at/all for 's' cannot be started: No such file or directory"
          "; give its path, or see whether it is in $PATH\n");
    CHECK(once({"/etc/passwd"}).status == 126);
    // Words that look like ours are the command's own.
    CHECK(once({"echo", "set", "--once", "--json", "--"}).out == "set --once --json --\n");
}

TEST_CASE("on knows how the command ended, also if it was started by one who ignores that")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "1"});
    auto command = daemon.control({"on", "s", "--once", "--", "/bin/sh", "-c", "exit 3"});
    command.in_child = [] { ::signal(SIGCHLD, SIG_IGN); };
    CHECK(run(std::move(command)).status == 3);
}

TEST_CASE("on ends with status 6 when the name is deleted, also while the command runs")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    const bool is_running = GENERATE(false, true);
    CAPTURE(mode, is_running);
    daemon.done({"create", "e", "--mode", mode});
    Reading following{daemon.control(on("e", gate))};
    REQUIRE(daemon.has_waits("e", 1));
    if (is_running) {
        daemon.done({"set", "e"});
        gate.heard();
    }
    daemon.done({"delete", "e"});
    if (is_running)
        gate.let_go();
    CHECK(following.wait() == 6);
    CHECK(following.errors().contains("'e' was deleted"));
}

TEST_CASE("on ends when its name is another event's after the command")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto [before, after] = GENERATE(table<std::string, std::string>({
        {"auto", "manual"},
        {"manual", "semaphore"},
        {"semaphore", "pulse"},
    }));
    CAPTURE(before, after);
    daemon.done({"create", "e", "--mode", before});
    Reading following{daemon.control(on("e", gate))};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.done({"set", "e"});
    CHECK(gate.heard() == "e 1");
    daemon.done({"delete", "e"});
    daemon.done({"create", "e", "--mode", after});
    if (after != "pulse")
        daemon.done({"set", "e"});
    gate.let_go();
    CHECK(following.wait() == 6);
    CHECK(following.errors().contains("'e' was deleted"));
}

TEST_CASE("on with --once ends as a command does that takes a signal as it likes")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    daemon.done({"create", "e", "--initial", "1"});
    Reading following{daemon.control(
        {"on", "e", "--once", "--", "/bin/sh", "-c", "trap 'exit 9' TERM; " + gate.script()})};
    CHECK(gate.heard() == "e 1");
    following.process().signal(SIGTERM);
    CHECK(following.wait() == 9);
}

TEST_CASE("on that waits is ended by a signal, and has taken nothing")
{
    const Daemon daemon;
    const auto number = GENERATE(SIGTERM, SIGINT, SIGHUP);
    daemon.done({"create", "s", "--mode", "semaphore"});
    Reading following{daemon.control({"on", "s", "--", "true"})};
    REQUIRE(daemon.has_waits("s", 1));
    following.process().signal(number);
    CHECK(following.wait() == -number);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.done({"set", "s"});
    CHECK(daemon.ctl({"is-set", "s"}).status == 0);
}

TEST_CASE("on passes SIGTERM to the command, and ends by it when the command did")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "2"});
    Reading following{
        daemon.control({"on", "s", "--", "/bin/sh", "-c",
                        "trap 'echo tidied up; exit 0' TERM; echo running; while :; do :; done"})};
    CHECK(following.line() == "running");
    following.process().signal(SIGTERM);
    CHECK(following.line() == "tidied up");
    CHECK_FALSE(following.line());
    CHECK(following.wait() == -SIGTERM);
    CHECK(Json::parse(daemon.done({"show", "s", "--json"}))["count"] == 1); // The other one.
}

TEST_CASE("on needs the w right of a manual event, which it is to clear")
{
    skip_unless_root();
    const Daemon daemon;
    daemon.done({"create", "m", "--rights", "0644"});
    auto command = daemon.control({"on", "m", "--", "true"});
    command.user = User{stranger};
    const auto ran = run(std::move(command));
    CHECK(ran.status == 4);
    CHECK(ran.err.contains("ask its owner for the w right"));
}

TEST_CASE("on goes on with a daemon that was restarted")
{
    Daemon daemon;
    Gate gate{daemon.directory()};
    Reading following{daemon.control(on("later", gate))};
    REQUIRE(daemon.has_waits("later", 1));
    daemon.kill();
    daemon.restart();
    daemon.done({"create", "later", "--mode", "auto", "--initial", "1"});
    CHECK(gate.heard() == "later 1");
}

TEST_CASE("on goes on when a signal comes that it was started to ignore")
{
    const Daemon daemon;
    Gate gate{daemon.directory()};
    const auto number = GENERATE(SIGHUP, SIGINT);
    daemon.done({"create", "s", "--mode", "semaphore"});
    auto command = daemon.control(on("s", gate));
    command.in_child = [number] { ::signal(number, SIG_IGN); }; // As nohup(1) does.
    Reading following{std::move(command)};
    REQUIRE(daemon.has_waits("s", 1));
    following.process().signal(number);
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 1");
    following.process().signal(number);
    gate.let_go();
    daemon.done({"set", "s"});
    CHECK(gate.heard() == "s 1");
}

TEST_CASE("a signal by which people talk to a command ends nobody where none runs")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore"});
    const auto words = GENERATE(std::vector{"on"s, "s"s, "--once"s, "--"s, "echo"s, "run"s},
                                std::vector{"wait"s, "s"s, "--"s, "echo"s, "run"s});
    CAPTURE(words);
    Reading waiting{daemon.control(words)};
    REQUIRE(daemon.has_waits("s", 1));
    if (words.front() == "wait") {
        CHECK(waiting.line() == "run");
        REQUIRE(eventually([&] { return child_of(waiting.process().pid()) == 0; }));
    }
    const auto pid = waiting.process().pid();
    REQUIRE(eventually(
        [&] { return sleeps_in(pid, pid, SYS_poll) || sleeps_in(pid, pid, SYS_ppoll); }));
    waiting.process().signal(SIGUSR1);
    daemon.done({"set", "s"});
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a verb that runs a command is ended by a signal while the daemon does not answer")
{
    const Daemon daemon;
    const auto verb = GENERATE(as<std::string>{}, "exec", "on", "wait", "hold");
    CAPTURE(verb);
    ::kill(daemon.pid(), SIGSTOP);
    auto reaching = start(daemon.control({verb, "e", "--", "true"}));
    const auto pid = reaching.pid();
    REQUIRE(eventually(
        [&] { return sleeps_in(pid, pid, SYS_poll) || sleeps_in(pid, pid, SYS_ppoll); }));
    reaching.signal(SIGTERM);
    CHECK(reaching.wait() == -SIGTERM);
}

TEST_CASE("on passes on a signal by which people talk to the command, and goes on")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore", "--initial", "2"});
    Reading following{
        daemon.control({"on", "s", "--", "/bin/sh", "-c",
                        "trap 'echo heard; exit 0' USR1; echo running; while :; do :; done"})};
    for (int i = 0; i < 2; ++i) {
        CHECK(following.line() == "running");
        following.process().signal(SIGUSR1);
        CHECK(following.line() == "heard");
    }
}

} // namespace
} // namespace evfd::e2e
