// Tests of the options of evfdctl on. These options say which information the command gets, and
// what happens if the event is set while the command runs.
#include "tests/support/blocking_command.h"
#include "tests/support/daemon_process.h"

#include <signal.h>

namespace evfd::e2e {
namespace {

std::vector<std::string> on_command(std::vector<std::string> words, const BlockingCommand& blocking,
                                    const std::string& before = {})
{
    words.insert(words.begin(), "on");
    words.insert(words.end(), {"--", "/bin/sh", "-c", before + blocking.script()});
    return words;
}

std::int64_t count_of(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}))["count"].get<std::int64_t>();
}

std::int64_t subscription_count(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"})).value("subscribers", 0);
}

TEST_CASE("on replaces each pair of braces in the command by the name")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "db/ready", "--initial", "1"});
    CHECK(daemon.checked_ctl({"on", "db/ready", "--once", "--", "echo", "{}", "<{}{}>", "{", "}",
                              "{ }", "x"}) == "db/ready <db/readydb/ready> { } { } x\n");
}

TEST_CASE("on --merge consumes all available tokens for one run")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "5"});
    OutputReader runner{daemon.ctl_command(on_command({"s", "--merge"}, blocking))};
    CHECK(blocking.await_start() == "s 5");
    daemon.checked_ctl({"set", "s", "--count", "2"});
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.has_not_started());
    blocking.finish();
    CHECK(blocking.await_start() == "s 3");
    blocking.finish();
    CHECK(daemon.has_waits("s", 1));
    CHECK(blocking.has_not_started());
    CHECK(count_of(daemon, "s") == 0);
}

TEST_CASE("on --merge returns all tokens when a signal arrives while it consumes them")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto left = [&] { return value_or_throw(client.show("s")).count.value(); };
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader runner{daemon.ctl_command({"on", "s", "--merge", "--", "echo", "run"})};
    REQUIRE(daemon.has_waits("s", 1));
    REQUIRE(client.set(std::vector{"s"s}, max_tokens_per_set));
    // evfdctl consumes one token first, and then more tokens. Waits until evfdctl has consumed at
    // least two tokens. SIGTERM then arrives while evfdctl is still consuming tokens.
    REQUIRE(poll_until([&] { return left() < max_tokens_per_set - 1; }));
    runner.process().signal(SIGTERM);
    CHECK(runner.wait() == -SIGTERM);
    CHECK_FALSE(runner.read_line());
    CHECK(left() == max_tokens_per_set);
}

TEST_CASE("on --merge runs once for merged sets and passes the count of pulses")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto [mode, second] = GENERATE(table<std::string, std::string>({
        {"manual", "e 1"},
        {"auto", "e 1"},
        {"pulse", "e 2"},
    }));
    CAPTURE(mode);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{daemon.ctl_command(on_command({"e", "--merge"}, blocking))};
    REQUIRE(poll_until([&] { return mode != "pulse" || subscription_count(daemon, "e") == 1; }));
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 1");
    daemon.checked_ctl({"set", "e"});
    daemon.checked_ctl({"set", "e"});
    blocking.finish();
    CHECK(blocking.await_start() == second);
}

TEST_CASE("on --restart ends a running command, and the next run gets both sets")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{daemon.ctl_command(on_command({"e", "--restart"}, blocking))};
    REQUIRE(poll_until([&] { return mode != "pulse" || subscription_count(daemon, "e") == 1; }));
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 1");
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 2");
    blocking.finish(); // Lets the second run of the command exit.
    REQUIRE(poll_until([&] { return child_of(runner.process().pid()) == 0; }));
    CHECK(blocking.has_not_started());
    daemon.checked_ctl({"set", "e"});
    // The third run gets the count 1, for the third set only. The second run got the count 2 and
    // exited by itself, so evfdctl does not count the first two sets again.
    CHECK(blocking.await_start() == "e 1");
    CHECK(runner.errors().empty());
}

TEST_CASE("on --restart runs again when a timer is armed and expires during the command")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    OutputReader runner{daemon.ctl_command(on_command({"t", "--restart"}, blocking))};
    CHECK(blocking.await_start() == "t 1");
    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    CHECK(blocking.await_start() == "t 2");
}

TEST_CASE("on --restart loses no token, however fast they are added")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader runner{daemon.ctl_command(on_command({"s", "--restart"}, blocking))};
    const auto tokens = daemon.client().open("s");
    REQUIRE(tokens);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(tokens->set());
        if (i % 50 == 0)
            blocking.await_start();
    }
    // evfdctl ended every earlier run before the run was complete, so the last run gets all 200
    // tokens.
    std::string output;
    do {
        output = blocking.await_start();
    } while (output != "s 200");
    CHECK(count_of(daemon, "s") == 0);
}

TEST_CASE("on --restart ends the children of a shell as well")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    // The shell catches SIGTERM and continues, while its child process blocks. The child gets
    // SIGTERM only if evfdctl sends it to the whole process group.
    OutputReader runner{daemon.ctl_command(
        on_command({"s", "--restart", "--grace", "1h"}, blocking,
                   "trap : TERM; /bin/sh -c '" + blocking.script() + "'; exit; "))};
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 1");
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 2");
}

TEST_CASE("on --restart leaves no process of the ended command behind")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    const auto ignoring_child = "/bin/sh -c 'trap \"\" TERM; echo $$; read -r never <\"$0\"' " +
                                blocking.finish_path() + " & trap 'exit 0' TERM; ";
    OutputReader runner{daemon.ctl_command(
        on_command({"s", "--restart", "--grace", "1h"}, blocking, ignoring_child))};
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 1");
    const auto left = pidfd_of(static_cast<pid_t>(std::stol(runner.read_line().value())));
    REQUIRE_FALSE(await_readable(left.get(), 0ns));
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 2");
    CHECK(await_readable(left.get()));
}

TEST_CASE("on --restart kills a command that does not exit within the grace time")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    OutputReader runner{daemon.ctl_command(
        on_command({"s", "--restart", "--grace", "50ms"}, blocking, "trap '' TERM; "))};
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 1");
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 2");
}

TEST_CASE("on --restart returns the tokens that it consumed for a run that a signal prevents")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore");
    CAPTURE(mode);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{daemon.ctl_command(
        on_command({"e", "--restart", "--grace", "1h"}, blocking, "trap '' TERM; "))};
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 1");
    daemon.checked_ctl({"set", "e"});
    // Waits until evfdctl has consumed the token of the second set.
    REQUIRE(poll_until([&] { return count_of(daemon, "e") == 0; }));
    runner.process().signal(SIGTERM);
    blocking.finish();
    CHECK(runner.wait() == -SIGTERM);
    // evfdctl has sent SIGTERM to the first run and has not started a second run, so evfdctl
    // returns the tokens of both sets. A semaphore then has two tokens. A manual or auto event has
    // one token, because it cannot have more.
    CHECK(count_of(daemon, "e") == (mode == "semaphore" ? 2 : 1));
}

TEST_CASE("on --restart is refused if the caller may not return the tokens")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto [mode, status] = GENERATE(table<std::string, Status>({
        {"auto", 4},
        {"semaphore", 4},
        {"manual", 4},
        {"pulse", 6},
    }));
    CAPTURE(mode);
    daemon.checked_ctl({"create", "e", "--mode", mode, "--permissions", "0604"});
    auto command = daemon.ctl_command({"on", "e", "--restart", "--", "true"});
    command.user = User{unprivileged_uid};
    OutputReader runner{std::move(command)};
    if (mode == "pulse") {
        REQUIRE(poll_until([&] { return subscription_count(daemon, "e") == 1; }));
        daemon.checked_ctl({"delete", "e"});
    }
    CHECK(runner.wait() == status);
    CHECK(runner.errors().contains(mode == "pulse" ? "was deleted" : "w permission"));
}

TEST_CASE("on --restart --once ends with the command that completed")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "1"});
    OutputReader runner{daemon.ctl_command(on_command({"s", "--restart", "--once"}, blocking))};
    CHECK(blocking.await_start() == "s 1");
    daemon.checked_ctl({"set", "s"});
    CHECK(blocking.await_start() == "s 2");
    blocking.finish(5);
    CHECK(runner.wait() == 5);
    daemon.checked_ctl({"set", "s"});
    CHECK(count_of(daemon, "s") == 1);
}

TEST_CASE("on --restart ends with status 6 after the command when the name is deleted")
{
    const DaemonProcess daemon;
    BlockingCommand blocking{daemon.directory()};
    const auto mode = GENERATE(as<std::string>{}, "manual", "auto", "semaphore", "pulse");
    CAPTURE(mode);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{daemon.ctl_command(on_command({"e", "--restart"}, blocking))};
    REQUIRE(poll_until([&] { return mode != "pulse" || subscription_count(daemon, "e") == 1; }));
    daemon.checked_ctl({"set", "e"});
    CHECK(blocking.await_start() == "e 1");
    daemon.checked_ctl({"delete", "e"});
    blocking.finish();
    CHECK(runner.wait() == 6);
    CHECK(runner.errors().contains("'e' was deleted"));
}

TEST_CASE("on accepts --grace only with --restart")
{
    const DaemonProcess daemon;
    const auto ran = daemon.ctl({"on", "e", "--grace", "1s", "--", "true"});
    CHECK(ran.status == 2);
    CHECK(daemon.ctl({"on", "e", "--restart", "--grace", "soon", "--", "true"}).status == 2);
}

} // namespace
} // namespace evfd::e2e
