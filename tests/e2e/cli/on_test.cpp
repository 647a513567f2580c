// Tests of evfdctl on, which runs a command each time that an event is set. evfdctl misses no set,
// even while the command runs.
#include "tests/support/blocking_command.h"
#include "tests/support/daemon_process.h"

#include <signal.h>
#include <sys/syscall.h>

namespace evfd::e2e {
namespace {

std::vector<std::string> on_command(const std::string& name, const BlockingCommand& blocking)
{
    return {"on", name, "--", "/bin/sh", "-c", blocking.script()};
}

std::int64_t subscription_count(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"})).value("subscribers", 0);
}

TEST_CASE("on runs the command once for each token, one after the other")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "jobs/s", "--mode", "semaphore", "--initial", "2"});
    OutputReader runner{daemon.ctl_command(on_command("jobs/s", blocking))};

    CHECK(blocking.await_start() == "jobs/s 1");
    // Sets the semaphore while the command is running.
    daemon.checked_ctl({"set", "jobs/s"});
    CHECK(blocking.has_not_started());
    for (int i = 0; i < 2; ++i) {
        blocking.finish();
        CHECK(blocking.await_start() == "jobs/s 1");
    }
    blocking.finish();
    CHECK(daemon.has_waits("jobs/s", 1));
    CHECK(blocking.has_not_started());
}

TEST_CASE("on clears a manual event before the command runs, so a set during the run counts")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "m"});
    OutputReader runner{daemon.ctl_command(on_command("m", blocking))};
    REQUIRE(daemon.has_waits("m", 1));

    daemon.checked_ctl({"set", "m"});
    CHECK(blocking.await_start() == "m 1");
    CHECK(daemon.ctl({"is-set", "m"}).status == 1);
    daemon.checked_ctl({"set", "m"});
    blocking.finish();
    CHECK(blocking.await_start() == "m 1");
    blocking.finish();
    CHECK(daemon.has_waits("m", 1));
    CHECK(blocking.has_not_started());
}

TEST_CASE("on consumes the set of an auto event that was made during the run")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "a", "--mode", "auto"});
    OutputReader runner{daemon.ctl_command(on_command("a", blocking))};

    daemon.checked_ctl({"set", "a"});
    CHECK(blocking.await_start() == "a 1");
    daemon.checked_ctl({"set", "a"});
    // If an auto event is set again before a wait consumes the first set, the second set has no
    // effect.
    daemon.checked_ctl({"set", "a"});
    blocking.finish();
    CHECK(blocking.await_start() == "a 1");
    blocking.finish();
    CHECK(daemon.has_waits("a", 1));
    CHECK(blocking.has_not_started());
}

TEST_CASE("on is subscribed to a pulse from its start and counts the pulses during a run")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    OutputReader runner{daemon.ctl_command(on_command("p", blocking))};
    REQUIRE(poll_until([&] { return subscription_count(daemon, "p") == 1; }));

    daemon.checked_ctl({"set", "p"});
    CHECK(blocking.await_start() == "p 1");
    for (int i = 0; i < 3; ++i)
        daemon.checked_ctl({"set", "p"});
    blocking.finish();
    CHECK(blocking.await_start() == "p 3");
    CHECK(subscription_count(daemon, "p") == 1);
    daemon.checked_ctl({"set", "p", "--count", "2"});
    blocking.finish();
    CHECK(blocking.await_start() == "p 2");
}

TEST_CASE("on counts the expirations of a timer during a run")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"arm", "t", "--every", "5ms"});
    OutputReader runner{daemon.ctl_command(on_command("t", blocking))};
    const auto expirations = [&] {
        return Json::parse(daemon.checked_ctl({"show", "t", "--json"}))["timer"]["expirations"]
            .get<std::int64_t>();
    };
    const auto count = [](const std::string& output) {
        return std::stoll(output.substr(output.find(' ')));
    };

    CHECK(count(blocking.await_start()) >= 1);
    const auto before = expirations();
    REQUIRE(poll_until([&] { return expirations() >= before + 10; }));
    blocking.finish();
    CHECK(count(blocking.await_start()) >= 10);
}

TEST_CASE("on runs nothing for an expired one-shot timer until it is armed again")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    OutputReader runner{daemon.ctl_command(on_command("t", blocking))};
    CHECK(blocking.await_start() == "t 1");
    blocking.finish();
    CHECK(daemon.has_waits("t", 1));
    CHECK(blocking.has_not_started());

    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    CHECK(blocking.await_start() == "t 1");
}

TEST_CASE("on waits for a name that does not exist yet")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    OutputReader runner{daemon.ctl_command(on_command("later", blocking))};
    REQUIRE(daemon.has_waits("later", 1));

    daemon.checked_ctl({"create", "later", "--mode", mode});
    daemon.checked_ctl({"set", "later"});
    CHECK(blocking.await_start() == "later 1");
    daemon.checked_ctl({"set", "later"});
    blocking.finish();
    CHECK(blocking.await_start() == "later 1");
}

TEST_CASE("on reports a failed command and continues")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});
    OutputReader runner{daemon.ctl_command(on_command("s", blocking))};
    CHECK(blocking.await_start() == "s 1");
    blocking.finish(3);
    CHECK(blocking.await_start() == "s 1");
    CHECK(runner.errors() == "evfdctl: /bin/sh for 's' exited with status 3\n");
}

TEST_CASE("on --once ends with the exit status of the command")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "9"});
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
    // Words after "--" belong to the command, even if they look like options of evfdctl.
    CHECK(once({"echo", "set", "--once", "--json", "--"}).out == "set --once --json --\n");
}

TEST_CASE("on reports its command's status although its parent ignored SIGCHLD")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "1"});
    auto command = daemon.ctl_command({"on", "s", "--once", "--", "/bin/sh", "-c", "exit 3"});
    command.in_child = [] { ::signal(SIGCHLD, SIG_IGN); };
    CHECK(run(std::move(command)).status == 3);
}

TEST_CASE("on ends with status 6 when the name is deleted, even during a run")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    const bool is_running = GENERATE(false, true);
    CAPTURE(mode, is_running);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{daemon.ctl_command(on_command("e", blocking))};
    REQUIRE(daemon.has_waits("e", 1));
    if (is_running) {
        daemon.checked_ctl({"set", "e"});
        blocking.await_start();
    }
    daemon.checked_ctl({"delete", "e"});
    if (is_running)
        blocking.finish();
    CHECK(runner.wait() == 6);
    CHECK(runner.errors().contains("'e' was deleted"));
}

TEST_CASE("on ends after the command when another event has the name")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto [before, after] = GENERATE(table<std::string, std::string>({
        {"auto", "manual"},
        {"manual", "semaphore"},
        {"semaphore", "pulse"},
    }));
    CAPTURE(before, after);
    daemon.checked_ctl({"create", "e", "--mode", before});
    OutputReader runner{daemon.ctl_command(on_command("e", blocking))};
    REQUIRE(daemon.has_waits("e", 1));
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 1");
    daemon.checked_ctl({"delete", "e"});
    daemon.checked_ctl({"create", "e", "--mode", after});
    if (after != "pulse")
        daemon.checked_ctl({"set", "e"});
    blocking.finish();
    CHECK(runner.wait() == 6);
    CHECK(runner.errors().contains("'e' was deleted"));
}

TEST_CASE("on --once ends with the status of a command that handles the signal")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    OutputReader runner{daemon.ctl_command(
        {"on", "e", "--once", "--", "/bin/sh", "-c", "trap 'exit 9' TERM; " + blocking.script()})};
    CHECK(blocking.await_start() == "e 1");
    runner.process().signal(SIGTERM);
    CHECK(runner.wait() == 9);
}

TEST_CASE("a signal ends on during its wait, and no token is consumed")
{
    const DaemonProcess daemon;
    const auto number = GENERATE(SIGTERM, SIGINT, SIGHUP);
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader runner{daemon.ctl_command({"on", "s", "--", "true"})};
    REQUIRE(daemon.has_waits("s", 1));
    runner.process().signal(number);
    CHECK(runner.wait() == -number);
    REQUIRE(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(daemon.ctl({"is-set", "s"}).status == 0);
}

TEST_CASE("on forwards SIGTERM to its command and dies of it after the command exited")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});
    OutputReader runner{daemon.ctl_command(
        {"on", "s", "--", "/bin/sh", "-c",
         "trap 'echo tidied up; exit 0' TERM; echo running; while :; do :; done"})};
    CHECK(runner.read_line() == "running");
    runner.process().signal(SIGTERM);
    CHECK(runner.read_line() == "tidied up");
    CHECK_FALSE(runner.read_line());
    CHECK(runner.wait() == -SIGTERM);
    CHECK(Json::parse(daemon.checked_ctl({"show", "s", "--json"}))["count"] ==
          // The run has consumed the first token, and the second token is left.
          1);
}

TEST_CASE("on needs write permission for a manual event, because it clears it")
{
    skip_unless_root();
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "m", "--permissions", "0644"});
    auto command = daemon.ctl_command({"on", "m", "--", "true"});
    command.user = User{unprivileged_uid};
    const auto ran = run(std::move(command));
    CHECK(ran.status == 4);
    CHECK(ran.err.contains("ask its owner for the w permission"));
}

TEST_CASE("on continues after a restart of the daemon")
{
    DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    OutputReader runner{daemon.ctl_command(on_command("later", blocking))};
    REQUIRE(daemon.has_waits("later", 1));
    daemon.kill();
    daemon.restart();
    daemon.checked_ctl({"create", "later", "--mode", "auto", "--initial", "1"});
    CHECK(blocking.await_start() == "later 1");
}

TEST_CASE("on ignores signals that its parent ignored")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto number = GENERATE(SIGHUP, SIGINT);
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    auto command = daemon.ctl_command(on_command("s", blocking));
    // evfdctl starts with the signal `number` ignored, as under nohup(1).
    command.in_child = [number] { ::signal(number, SIG_IGN); };
    OutputReader runner{std::move(command)};
    REQUIRE(daemon.has_waits("s", 1));
    runner.process().signal(number);
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 1");
    runner.process().signal(number);
    blocking.finish();
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 1");
}

TEST_CASE("SIGUSR1 does not end evfdctl while no command runs")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    const auto words = GENERATE(std::vector{"on"s, "s"s, "--once"s, "--"s, "echo"s, "run"s},
                                std::vector{"wait"s, "s"s, "--"s, "echo"s, "run"s});
    CAPTURE(words);
    OutputReader waiting{daemon.ctl_command(words)};
    REQUIRE(daemon.has_waits("s", 1));
    if (words.front() == "wait") {
        CHECK(waiting.read_line() == "run");
        REQUIRE(poll_until([&] { return child_of(waiting.process().pid()) == 0; }));
    }
    const auto pid = waiting.process().pid();
    REQUIRE(poll_until(
        [&] { return is_blocked_in(pid, pid, SYS_poll) || is_blocked_in(pid, pid, SYS_ppoll); }));
    waiting.process().signal(SIGUSR1);
    daemon.checked_ctl({"set", "s"});
    CHECK(waiting.wait() == 0);
}

TEST_CASE("a signal ends a verb that runs a command while the daemon does not reply")
{
    const DaemonProcess daemon;
    const auto verb = GENERATE(as<std::string>{}, "exec", "on", "wait", "hold");
    CAPTURE(verb);
    ::kill(daemon.pid(), SIGSTOP);
    auto reaching = start(daemon.ctl_command({verb, "e", "--", "true"}));
    const auto pid = reaching.pid();
    REQUIRE(poll_until(
        [&] { return is_blocked_in(pid, pid, SYS_poll) || is_blocked_in(pid, pid, SYS_ppoll); }));
    reaching.signal(SIGTERM);
    CHECK(reaching.wait() == -SIGTERM);
}

TEST_CASE("on forwards SIGUSR1 to its command and continues")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});
    OutputReader runner{
        daemon.ctl_command({"on", "s", "--", "/bin/sh", "-c",
                            "trap 'echo heard; exit 0' USR1; echo running; while :; do :; done"})};
    for (int i = 0; i < 2; ++i) {
        CHECK(runner.read_line() == "running");
        runner.process().signal(SIGUSR1);
        CHECK(runner.read_line() == "heard");
    }
}

} // namespace
} // namespace evfd::e2e
