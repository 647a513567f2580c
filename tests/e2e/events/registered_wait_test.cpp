// Tests of evfdctl wait NAME... -- COMMAND, which registers the wait with the daemon before the
// command starts.
#include "tests/paths.h"
#include "tests/support/blocking_command.h"
#include "tests/support/daemon_process.h"

#include <signal.h>

namespace evfd::e2e {
namespace {

// Returns the beginning of a shell command that runs evfdctl with the daemon of the test.
std::string control_command(const DaemonProcess& daemon)
{
    return EVFDD_CTL " --socket " + daemon.path();
}

std::vector<std::string> wait_and_run(std::vector<std::string> words, const std::string& script)
{
    words.insert(words.begin(), "wait");
    words.insert(words.end(), {"--", "/bin/sh", "-c", script});
    return words;
}

std::int64_t count_of(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}))["count"].get<std::int64_t>();
}

TEST_CASE("a wait is registered before its command starts")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto out = daemon.checked_ctl(wait_and_run(
        {"e"}, control_command(daemon) + " show e --json; " + control_command(daemon) + " set e"));
    CHECK(Json::parse(out)["waits"] == 1);
}

TEST_CASE("a wait misses no set by its command, even one that is undone at once")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "m"});
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    daemon.checked_ctl({"arm", "t", "--in", "1d"});
    const auto [names, script] = GENERATE(table<std::vector<std::string>, std::string>({
        {{"m"}, "$ctl set m; $ctl clear m"},
        {{"p"}, "$ctl set p"},
        {{"p", "--count", "3"}, "$ctl set p --count 3"},
        {{"s"}, "$ctl set s"},
        {{"t"}, "$ctl arm t --in 1ms"},
        {{"later"}, "$ctl create later --initial 1; $ctl delete later"},
        {{"m", "s", "p"}, "$ctl set m s p; $ctl clear m"},
        {{"--any", "m", "p"}, "$ctl set p >/dev/null"},
    }));
    CAPTURE(names);
    const auto ran =
        daemon.ctl(wait_and_run(names, "ctl='" + control_command(daemon) + "'; " + script));
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(ran.out == (names.front() == "--any" ? "p\n" : ""));
}

TEST_CASE("a failed command ends its wait with the command's status, and nothing is consumed")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    const auto ran = daemon.ctl(wait_and_run({"s"}, "echo trying; exit 7"));
    CHECK(ran.status == 7);
    CHECK(ran.out == "trying\n");
    CHECK(ran.err.empty());
    CHECK(daemon.ctl(wait_and_run({"s"}, "kill -9 $$")).status == 128 + 9);
    CHECK(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(count_of(daemon, "s") == 1);
}

TEST_CASE("a wait reports that its command cannot be started")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    const auto missing = daemon.ctl({"wait", "s", "--", "/nowhere/at/all", "--flag"});
    CHECK(missing.status == 127);
    CHECK(missing.err == "evfdctl: /nowhere/at/all cannot be started: No such file or directory"
                         "; give its path, or see whether it is in $PATH\n");
    CHECK(daemon.ctl({"wait", "s", "--", "/etc/passwd"}).status == 126);
    CHECK(daemon.has_waits("s", 0));
}

TEST_CASE("a finished wait waits for its command and ends with the command's status")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "auto", "--initial", "1"});
    CHECK(daemon.ctl(wait_and_run({"a"}, "exit 3")).status == 3);
    daemon.checked_ctl({"create", "b", "--mode", "auto", "--initial", "1"});
    OutputReader waiting{daemon.ctl_command(
        wait_and_run({"--any", "b"}, control_command(daemon) + " wait go; echo gone; exit 4"))};
    REQUIRE(daemon.has_waits("go", 1));
    // evfdctl has consumed the token of "b", although its command still runs.
    CHECK(count_of(daemon, "b") == 0);
    daemon.checked_ctl({"create", "go", "--initial", "1"});
    CHECK(waiting.read_line() == "gone");
    CHECK(waiting.read_line() == "b");
    CHECK(waiting.wait() == 4);
}

TEST_CASE("a wait continues after its command until the timeout since its start")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{daemon.ctl_command(wait_and_run({"e"}, "echo done"))};
    CHECK(waiting.read_line() == "done");
    daemon.checked_ctl({"set", "e"});
    CHECK(waiting.wait() == 0);
    CHECK(daemon.ctl(wait_and_run({"not/there", "--timeout", "100ms"}, "exit 0")).status == 124);
}

TEST_CASE("a timeout ends the command by SIGTERM, and by SIGKILL after the grace time")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto polite = daemon.ctl(wait_and_run(
        {"e", "--timeout", "500ms"}, "trap 'echo tidied up; exit 0' TERM; while :; do :; done"));
    CHECK(polite.status == 124);
    CHECK(polite.out == "tidied up\n");
    CHECK(polite.err.contains("wait timed out"));
    const auto stubborn = daemon.ctl(wait_and_run({"e", "--timeout", "100ms", "--grace", "50ms"},
                                                  "trap '' TERM; while :; do :; done"));
    CHECK(stubborn.status == 124);
}

TEST_CASE("a failed wait ends its command and reports the reason")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto ran = daemon.ctl(wait_and_run({"e"}, "trap 'echo tidied up; exit 0' TERM; " +
                                                        control_command(daemon) +
                                                        " delete e; while :; do :; done"));
    CHECK(ran.status == 6);
    CHECK(ran.out == "tidied up\n");
    CHECK(ran.err.contains("'e'"));
    CHECK(daemon.ctl(wait_and_run({"missing", "--existing"}, "echo run")).status == 3);
    CHECK(daemon.ctl(wait_and_run({"missing", "--existing"}, "echo run")).out.empty());
}

TEST_CASE("a wait forwards a signal to its command and then dies of it")
{
    const DaemonProcess daemon;
    const bool is_running = GENERATE(true, false);
    CAPTURE(is_running);
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{daemon.ctl_command(wait_and_run(
        {"e"}, is_running ? "trap 'echo tidied up; exit 0' TERM; echo here; while :; do :; done"
                          : "echo here"))};
    CHECK(waiting.read_line() == "here");
    waiting.process().signal(SIGTERM);
    if (is_running)
        CHECK(waiting.read_line() == "tidied up");
    CHECK(waiting.wait() == -SIGTERM);
    CHECK(daemon.has_waits("e", 0));
}

// Shell code that makes a script print "tidying" on SIGTERM. The script then exits as soon as it
// can read a line from descriptor 3.
constexpr auto delayed_exit = "trap 'echo tidying; read -r answer <&3; exit 0' TERM; ";

TEST_CASE("a wait ended by a signal consumes nothing while its command exits")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader waiting{daemon.ctl_command(wait_and_run({"s"}, delayed_exit + blocking.script()))};
    blocking.await_start();
    waiting.process().signal(SIGTERM);
    CHECK(waiting.read_line() == "tidying");
    CHECK(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    blocking.finish();
    CHECK(waiting.wait() == -SIGTERM);
    CHECK(count_of(daemon, "s") == 1);
}

TEST_CASE("a signal ends a failed wait and its command")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{
        daemon.ctl_command(wait_and_run({"e", "--grace", "1h"}, delayed_exit + blocking.script()))};
    blocking.await_start();
    daemon.checked_ctl({"delete", "e"});
    CHECK(waiting.read_line() == "tidying");
    waiting.process().signal(SIGINT);
    blocking.finish();
    CHECK(waiting.wait() == -SIGINT);
    CHECK(waiting.errors().contains("'e'"));
}

TEST_CASE("names may follow a separate \"--\", because a name may look like an option")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "--initial", "1", "--", "-e"});
    daemon.checked_ctl({"create", "f", "--initial", "1"});
    CHECK(daemon.checked_ctl({"wait", "--timeout", "5s", "--", "-e"}).empty());
    CHECK(daemon.checked_ctl({"wait", "--timeout", "5s", "--", "-e", "f"}).empty());
    CHECK(daemon.checked_ctl({"wait", "--", "-e", "f", "--", "echo", "--", "-e"}) == "-- -e\n");
    CHECK(daemon.checked_ctl({"wait", "f", "--any", "--"}) == "f\n");
}

TEST_CASE("a wait with a command continues after a kill of the daemon")
{
    const SupervisedDaemon daemon;
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{daemon.ctl_command(
        wait_and_run({"e"}, "echo here; " + control_command(daemon) + " wait go"))};
    CHECK(waiting.read_line() == "here");
    daemon.kill_daemon();
    CHECK(daemon.has_waits("e", 1));
    daemon.kill_daemon();
    daemon.checked_ctl({"set", "e"});
    daemon.checked_ctl({"create", "go", "--initial", "1"});
    CHECK(waiting.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
