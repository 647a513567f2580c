// Tests of evfdctl top and evfdctl monitor on a terminal.
#include "tests/support/daemon_process.h"
#include "tests/support/remote_host.h"
#include "tests/support/terminal.h"

#include <signal.h>
#include <sys/syscall.h>

#include <sstream>

namespace evfd::e2e {
namespace {

constexpr auto control_c = "\x03";
constexpr auto control_r = "\x12";
constexpr auto escape = "\x1b";
constexpr auto page_down = "\x1b[6~";
constexpr auto arrow_up = "\x1bOA";
constexpr auto erase = "\x7f";
constexpr auto enter = "\r";
// A part of the last line of the screen. top draws this line last, so the screen is complete when
// the text appears.
constexpr auto help = "space pause";

using Words = std::vector<std::string>;

TEST_CASE("top shows kind, state, and the user and time of the last set of each object")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});
    daemon.checked_ctl({"arm", "t", "--in", "2h"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    CHECK(top.line(0).contains("3 objects, by name"));
    CHECK(top.line(1).starts_with("NAME"));
    CHECK(top.words(2, 4) == Words{"e", "s", "t", ""});
    CHECK(top.line_of("e").contains("event  manual     clear     0"));
    CHECK(top.line_of("s").contains("event  semaphore  2 tokens  0"));
    CHECK(top.line_of("t").contains("timer  monotonic  armed     0      0"));
    CHECK(top.line_of("t").ends_with("  1h"));

    daemon.checked_ctl({"set", "e"});
    top.await([&] {
        const auto row = top.line_of("e");
        return row.contains("manual     set ") && row.contains("s ago by ");
    });
    daemon.checked_ctl({"delete", "s"});
    top.await([&] { return top.words(2, 3) == Words{"e", "t", ""}; });
    daemon.checked_ctl({"create", "b"});
    top.await([&] { return top.words(2, 3) == Words{"b", "e", "t"}; });
}

TEST_CASE("top shows the number of waiters and subscribers of each object")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    const OutputReader waiting{daemon.ctl_command({"wait", "e"})};
    REQUIRE(daemon.has_waits("e", 1));
    top.await([&] { return top.line_of("e").contains("clear  1"); });
    daemon.checked_ctl({"set", "e"});
    top.await([&] { return top.line_of("e").contains("set    0"); });
    {
        const auto subscriber = value_or_throw(daemon.client().open("p"));
        top.await([&] { return top.line_of("p").contains("0      1"); });
    }
    top.await([&] { return top.line_of("p").contains("0      0"); });
}

TEST_CASE("top filters the names by the typed text")
{
    const DaemonProcess daemon;
    for (const auto* name : {"db/ready", "db/done", "jobs"})
        daemon.checked_ctl({"create", name});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    top.type("/d");
    top.await("filter: d");
    CHECK(top.words(2, 3) == Words{"db/done", "db/ready", ""});
    CHECK(top.line(0).contains("3 objects, 2 shown"));
    top.type(enter);
    top.await("filter: d  / changes it");
    CHECK(top.words(2, 3) == Words{"db/done", "db/ready", ""});
    top.type("/ONE");
    top.await("filter: dONE");
    CHECK(top.words(2, 2) == Words{"db/done", ""});
    top.type(erase);
    top.await("filter: dON ");
    top.type(escape);
    top.await(help);
    CHECK(top.words(2, 3) == Words{"db/done", "db/ready", "jobs"});
    top.type(escape);
    CHECK(top.wait() == 0);
    CHECK(top.is_restored());
}

TEST_CASE("top quits at q and shows its keys at ? and h")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "queue"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    const auto* key = GENERATE("?", "h");
    top.type(key);
    top.await("any key closes the help");
    CHECK(top.line(0).starts_with("q, Ctrl-C "));
    CHECK_FALSE(top.shows("queue"));
    top.type("q"); // Closes the help.
    top.await(help);
    CHECK(top.words(2, 1) == Words{"queue"});
    top.type("q");
    CHECK(top.wait() == 0);
    CHECK(top.is_restored());
}

TEST_CASE("top marks the column by which it sorts")
{
    const DaemonProcess daemon;
    const auto [locale, up, down] = GENERATE(table<std::string, std::string, std::string>(
        {{"C.UTF-8", "\u25b2", "\u25bc"}, {"C", "^", "v"}}));
    auto command = daemon.ctl_command({"top", "--sort", "mode"});
    command.environment.push_back("LC_ALL=" + locale);
    Terminal top{std::move(command)};
    top.await(help);
    CHECK(top.line(1).contains("  MODE" + up));
    top.type("r");
    top.await([&, mark = down] { return top.line(1).contains("  MODE" + mark); });
}

TEST_CASE("top sorts by the chosen column in either direction")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "b", "--initial", "1"});
    daemon.checked_ctl({"create", "a", "--mode", "auto"});
    daemon.checked_ctl({"arm", "c", "--in", "1h"});
    Terminal top{daemon.ctl_command({"top", "--sort", "state"})};
    top.await(help);
    CHECK(top.line(0).ends_with("by state"));
    CHECK(top.words(2, 3) == Words{"b", "c", "a"});
    // Waits for the title and also for the rows, because top draws the title before the rows.
    const auto await = [&](const std::string& title, const Words& rows) {
        top.await([&] { return top.line(0).ends_with(title) && top.words(2, 3) == rows; });
    };
    top.type(control_r);
    await("by state, reversed", {"a", "c", "b"});
    top.type("<<<");
    await("by name", {"a", "b", "c"});
    top.type("<");
    await("by next", {"c", "a", "b"});
    top.type(">>");
    await("by kind", {"a", "b", "c"});
    CHECK(daemon.ctl({"top", "--sort", "colour"}).status == 2);
}

TEST_CASE("top scrolls and adapts to the size of the terminal")
{
    const DaemonProcess daemon;
    for (int i = 10; i < 40; ++i)
        daemon.checked_ctl({"create", "n" + std::to_string(i)});
    Terminal top{daemon.ctl_command({"top"}), 10, 80};
    top.await(help);
    CHECK(top.words(2, 7) == Words{"n10", "n11", "n12", "n13", "n14", "n15", "n16"});
    top.type(page_down);
    top.await([&] { return top.words(2, 7).back() == "n23"; });
    CHECK(top.words(2, 1).front() == "n17");
    top.type(arrow_up);
    top.await([&] { return top.words(2, 1).front() == "n16"; });

    top.resize(5, 30);
    top.await([&] {
        return top.words(2, 2) == Words{"n16", "n17"} && top.line(4).starts_with("q quit");
    });
    top.resize(60, 100);
    top.await([&] { return top.line(59).contains(help); });
    CHECK(top.words(2, 31).back().empty());
    CHECK(top.words(2, 30).back() == "n39");
    top.resize(1, 8);
    top.resize(24, 80);
    top.await([&] { return top.line(23).contains(help); });
}

TEST_CASE("top keeps its contents during a pause and shows the current state afterwards")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    top.type(" ");
    top.await("paused");
    daemon.checked_ctl({"create", "f"});
    daemon.checked_ctl({"delete", "e"});
    // When top shows the filter, it has already handled the create and the delete above.
    top.type("/e");
    top.await("filter: e");
    CHECK(top.words(2, 2) == Words{"e", ""});
    top.type(erase);
    top.type(" ");
    top.await([&] { return top.words(2, 2) == Words{"f", ""}; });
    CHECK_FALSE(top.shows("paused"));
}

TEST_CASE("top shows all objects that were created at once")
{
    const DaemonProcess daemon;
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    constexpr int many = 513; // Each round creates one object more than top reads at once.
    WireClient wire{daemon.path()};
    for (int count = many; count <= 4 * many; count += many) {
        top.process().signal(SIGSTOP);
        // Waits 100 ms. After such a pause, top draws as soon as it has read some changes. It does
        // not wait until it has read all changes.
        REQUIRE(daemon.ctl({"wait", "never", "--timeout", "100ms"}).status == 124);
        // Sends all calls before it reads a reply, so that the daemon reports all changes at once.
        for (int i = count - many; i < count; ++i)
            wire.call("CreateEvent", {{"name", "n/" + std::to_string(i)}, {"mode", "pulse"}});
        for (int i = 0; i < many; ++i)
            REQUIRE(wire.reply()["parameters"]["created"] == true);
        top.process().signal(SIGCONT);
        top.await(std::to_string(count) + " objects");
    }
}

TEST_CASE("top continues after a kill of the daemon")
{
    SupervisedDaemon daemon;
    daemon.checked_ctl({"create", "e"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    daemon.kill_daemon();
    // The test does not wait until top shows that the daemon is gone, because the supervisor can
    // restart the daemon before that.
    daemon.checked_ctl({"set", "e"});
    top.await([&] { return top.line_of("e").contains("set") && !top.shows("gone"); });
}

TEST_CASE("top waits for a daemon that stays away and can be left meanwhile")
{
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    daemon.kill();
    top.await("gone: no evfdd answers at " + daemon.path());
    CHECK(top.words(2, 1) == Words{"e"}); // The row shows the last known state of the object.
    const bool comes_back = GENERATE(true, false);
    if (comes_back) {
        daemon.restart();
        top.await([&] { return !top.shows("gone") && top.shows("0 objects"); });
        daemon.checked_ctl({"create", "f"});
        top.await([&] { return top.words(2, 1) == Words{"f"}; });
    }
    top.type(escape);
    CHECK(top.wait() == 0);
    CHECK(top.is_restored());
}

TEST_CASE("top restores the terminal, whatever ends it")
{
    const DaemonProcess daemon;
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    CHECK_FALSE(top.is_restored());
    const auto number = GENERATE(SIGTERM, SIGHUP, SIGQUIT, SIGINT);
    if (number == SIGINT)
        top.type(control_c);
    else
        top.process().signal(number);
    CHECK(top.wait() == -number);
    CHECK(top.is_restored());
}

TEST_CASE("top sleeps without a timeout while nothing changes")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    Terminal top{daemon.ctl_command({"top"})};
    top.await(help);
    const auto pid = top.process().pid();
    // Returns whether top is in ppoll(2) without a timeout: the third argument is the timeout, and
    // null means no timeout.
    const auto sleeps_for_ever = [&] {
        std::istringstream call{system_call_of(pid, pid)};
        std::string number, descriptors, count, timeout;
        call >> number >> descriptors >> count >> timeout;
        return number == std::to_string(SYS_ppoll) && timeout == "0x0";
    };
    CHECK(poll_until(sleeps_for_ever));
    daemon.checked_ctl({"set", "e"});
    top.await([&] { return top.line_of("e").contains(" ago by "); });
    CHECK(poll_until([&] { return is_blocked_in(pid, pid, SYS_ppoll) && !sleeps_for_ever(); }));
    daemon.checked_ctl({"delete", "e"});
    CHECK(poll_until(sleeps_for_ever));
}

TEST_CASE("top refuses to run without a terminal with a movable cursor")
{
    const DaemonProcess daemon;
    const auto piped = daemon.ctl({"top"});
    CHECK(piped.status == 2);
    CHECK(piped.err == "evfdctl: top needs a terminal; use evfdctl monitor elsewhere\n");
    CHECK(daemon.ctl({"top", "--json"}).status == 2);

    auto command = daemon.ctl_command({"top"});
    command.environment = {"TERM=dumb"};
    Terminal dumb{std::move(command)};
    CHECK(dumb.wait() == 2);
    CHECK(dumb.shows("top needs a terminal whose cursor can be moved"));
    CHECK(dumb.is_restored());
}

TEST_CASE("top without a daemon prints one line on the unchanged terminal")
{
    const TemporaryDirectory directory;
    Terminal top{{.argv = {EVFDD_CTL, "--socket", directory / "nobody", "top"}}};
    CHECK(top.wait() == 5);
    CHECK(top.line(0).starts_with("evfdctl: no evfdd answers at"));
    CHECK(top.is_restored());
}

TEST_CASE("top over --host continues over another relay and shows the messages of ssh")
{
    DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    daemon.checked_ctl({"create", "e"});
    Terminal top{remote_host.ctl_command({"top"})};
    top.await(help);
    CHECK(top.line(0).starts_with("me@far: 1 object"));
    REQUIRE(::kill(remote_host.calls().back().relay, SIGKILL) == 0);
    daemon.checked_ctl({"set", "e"});
    top.await([&] { return top.line_of("e").contains("set") && !top.shows("gone"); });
    CHECK(remote_host.calls().size() >= 2);

    daemon.kill();
    top.await("(evfdctl: no evfdd");
    top.type(escape);
    CHECK(top.wait() == 0);
    CHECK(top.is_restored());
}

TEST_CASE("top over --host reports on the terminal that it cannot draw")
{
    const DaemonProcess daemon;
    const FakeRemoteHost remote_host{daemon};
    auto command = remote_host.ctl_command({"top"});
    command.environment.push_back("TERM=dumb");
    Terminal dumb{std::move(command)};
    CHECK(dumb.wait() == 2);
    CHECK(dumb.shows("top needs a terminal whose cursor can be moved"));
}

TEST_CASE("top and monitor use colours on a terminal unless they are turned off")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    const auto [variable, option, is_coloured] = GENERATE(table<std::string, std::string, bool>({
        {"NO_COLOR=", "auto", true},
        {"NO_COLOR=1", "auto", false},
        {"NO_COLOR=1", "always", true},
        {"NO_COLOR=", "never", false},
    }));
    CAPTURE(variable, option);
    const auto* const verb = GENERATE("top", "monitor");
    auto command = daemon.ctl_command({verb, "--color", option});
    command.environment = {variable};
    Terminal terminal{std::move(command)};
    terminal.await(verb == "top"s ? help : "ready");
    CHECK(terminal.is_coloured("manual  set", 8) == is_coloured);
}

} // namespace
} // namespace evfd::e2e
