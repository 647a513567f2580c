// Tests of evfdctl exec, which runs a command that inherits the descriptors of named objects.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

// A Python program that prints one line for each descriptor that sd_listen_fds(3) reports, with its
// number, name and type. The last line has the numbers of all open descriptors.
constexpr auto listening_program = R"(
import ctypes, os
def target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None  # That of the directory that is being read.
library = ctypes.CDLL("libsystemd.so.0")
names = ctypes.POINTER(ctypes.c_char_p)()
count = library.sd_listen_fds_with_names(0, ctypes.byref(names))
assert count >= 0, count
for i in range(count):
    print(3 + i, names[i].decode(), target(3 + i))
print(*(fd for fd in sorted(map(int, os.listdir("/proc/self/fd"))) if target(fd)))
)";

std::vector<std::string> exec_command(std::vector<std::string> names,
                                      std::vector<std::string> command)
{
    names.insert(names.begin(), "exec");
    names.emplace_back("--");
    names.insert(names.end(), command.begin(), command.end());
    return names;
}

std::vector<std::string> exec_script(std::vector<std::string> names, const std::string& script)
{
    return exec_command(std::move(names), {"/bin/sh", "-c", script});
}

std::int64_t subscription_count(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"})).value("subscribers", 0);
}

// Shell code that sets and reads the eventfd at descriptor 3. The code needs a little-endian
// machine, and evfdd is built only for such machines.
constexpr auto set_3 = R"(printf '\1\0\0\0\0\0\0\0' >&3; )";
constexpr auto read_3 = R"(od -An -tu8 -N8 <&3 | tr -d ' '; )";
// Waits until descriptor 3 is readable. A shell cannot poll, so the code is in Python.
constexpr auto await_3 = R"(python3 -c 'import select; select.select([3], [], [])'; )";

TEST_CASE("exec passes the descriptors in the order of the names, and no other descriptor")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"create", "x:y/z", "--mode", "pulse"});
    daemon.checked_ctl({"arm", "t", "--in", "1d"});
    auto command =
        daemon.ctl_command(exec_command({"t", "e", "x:y/z"}, {"python3", "-c", listening_program}));
    command.environment = {"LISTEN_FDS=7", "LISTEN_FDNAMES=other", "LISTEN_PID=1"};
    // Closes the descriptors that the test itself has inherited.
    command.in_child = [] { ::close_range(3, ~0U, 0); };
    const auto ran = run(std::move(command));
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(ran.out == "3 t anon_inode:[timerfd]\n"
                     "4 e anon_inode:[eventfd]\n"
                     "5 x%3Ay/z anon_inode:[eventfd]\n"
                     "0 1 2 3 4 5\n");
}

TEST_CASE("exec passes descriptors to numbers that are in use, and keeps other descriptors")
{
    const DaemonProcess daemon;
    std::vector<std::string> names;
    for (int i = 0; i < 40; ++i)
        names.push_back("e" + std::to_string(i));
    for (const auto& name : names)
        daemon.checked_ctl({"create", name, "--mode", "semaphore"});
    const auto text = daemon.directory() / "text";
    write_file(text, "inherited\n");
    auto command = daemon.ctl_command(exec_command(names, {"python3", "-c",
                                                           "import os\n"
                                                           "os.eventfd_write(3, 7)\n"
                                                           "os.eventfd_write(42, 5)\n"
                                                           "print(open(60).read(), end='')"}));
    command.in_child = [&] {
        for (const int number : {3, 4, 17, 42, 60})
            ::dup2(::open(text.c_str(), O_RDONLY), number);
    };
    const auto ran = run(std::move(command));
    INFO(ran.err);
    CHECK(ran.out == "inherited\n");
    CHECK(Json::parse(daemon.checked_ctl({"show", "e0", "--json"}))["count"] == 7);
    CHECK(Json::parse(daemon.checked_ctl({"show", "e39", "--json"}))["count"] == 5);
}

TEST_CASE("a command sets and consumes through its descriptor what others see by name")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    daemon.checked_ctl(exec_script({"s"}, set_3 + std::string{set_3}));
    CHECK(Json::parse(daemon.checked_ctl({"show", "s", "--json"}))["count"] == 2);
    CHECK(daemon.checked_ctl(exec_script({"s"}, read_3)) == "1\n");
    CHECK(Json::parse(daemon.checked_ctl({"show", "s", "--json"}))["count"] == 1);
}

TEST_CASE("a read from an event that is not set fails at once")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto ran = daemon.ctl(exec_script({"e"}, "LC_ALL=C od -An -tu8 -N8 <&3"));
    CHECK(ran.status != 0);
    CHECK(ran.err.contains("temporarily unavailable"));
}

TEST_CASE(
    "a command's descriptors of a pulse and a timer stay subscribed after a kill of the daemon")
{
    const SupervisedDaemon daemon;
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    daemon.checked_ctl({"arm", "t", "--in", "1d"});
    const auto is_pulse = GENERATE(true, false);
    CAPTURE(is_pulse);
    const std::string name = is_pulse ? "p" : "t";
    OutputReader command{daemon.ctl_command(exec_script(
        {name}, "echo here; "s + await_3 + read_3 + "echo again; " + await_3 + read_3))};
    CHECK(command.read_line() == "here");
    const auto update = is_pulse ? std::vector<std::string>{"set", "p", "--count", "2"}
                                 : std::vector<std::string>{"arm", "t", "--in", "1ms"};
    daemon.checked_ctl(update);
    CHECK(command.read_line() == (is_pulse ? "2" : "1"));
    CHECK(command.read_line() == "again");
    daemon.kill_daemon();
    REQUIRE(poll_until([&] { return subscription_count(daemon, name) == 1; }));
    daemon.checked_ctl(update);
    CHECK(command.read_line() == (is_pulse ? "2" : "1"));
    CHECK(command.wait() == 0);
    // The subscriptions of the command end when the command exits.
    CHECK(poll_until([&] { return subscription_count(daemon, name) == 0; }));
}

TEST_CASE("exec ends with the status of its command")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    CHECK(daemon.ctl(exec_script({"e"}, "exit 200")).status == 200);
    CHECK(daemon.ctl(exec_script({"e"}, "kill -9 $$")).status == 128 + 9);
    const auto missing = daemon.ctl(exec_command({"e"}, {"no-such-command", "--flag"}));
    CHECK(missing.status == 127);
    CHECK(missing.err == "evfdctl: no-such-command cannot be started: No such file or directory"
                         "; give its path, or see whether it is in $PATH\n");
    CHECK(daemon.ctl(exec_command({"e"}, {"/etc/passwd"})).status == 126);
}

TEST_CASE("exec runs nothing if it cannot open all names")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto missing = daemon.ctl(exec_script({"e", "missing"}, "echo run"));
    CHECK(missing.status == 3);
    CHECK(missing.out.empty());
    CHECK(missing.err.contains("'missing'"));
    CHECK(daemon.ctl(exec_script({"e", "e"}, "echo run")).status == 2);
    CHECK(daemon.ctl({"exec", "e"}).status == 2);
    CHECK(daemon.ctl({"exec", "e", "--"}).status == 2);
}

TEST_CASE("exec passes a pollable descriptor if the caller may only wait, and refuses one that may "
          "only set")
{
    skip_unless_root();
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "r", "--permissions", "0604", "--initial", "1"});
    daemon.checked_ctl({"create", "w", "--permissions", "0602"});
    const auto by_unprivileged = [&](std::vector<std::string> words) {
        auto command = daemon.ctl_command(std::move(words));
        command.user = User{unprivileged_uid};
        return run(std::move(command));
    };
    const auto ran =
        by_unprivileged(exec_script({"r"}, "readlink /proc/self/fd/3; "s + await_3 + "echo set"));
    CHECK(ran.out == "anon_inode:[eventpoll]\nset\n");
    const auto refused = by_unprivileged(exec_script({"r", "w"}, "echo run"));
    CHECK(refused.status == 4);
    CHECK(refused.out.empty());
    CHECK(refused.err.contains("'w'"));
    CHECK(refused.err.contains("r permission"));
}

TEST_CASE("exec forwards signals to its command and ends with its status")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto number = GENERATE(SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2);
    CAPTURE(number);
    OutputReader command{daemon.ctl_command(
        exec_script({"e"}, "trap 'echo heard; exit 5' TERM INT HUP QUIT USR1 USR2; echo here; "
                           "while :; do :; done"))};
    CHECK(command.read_line() == "here");
    command.process().signal(number);
    CHECK(command.read_line() == "heard");
    CHECK(command.wait() == 5);
}

TEST_CASE("evfdctl dies of a forwarded signal that killed its command")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    const auto words = GENERATE(std::vector{"exec"s, "e"s}, std::vector{"on"s, "e"s, "--once"s});
    const auto number = GENERATE(SIGTERM, SIGINT, SIGUSR1);
    CAPTURE(words, number);
    auto all = words;
    all.insert(all.end(), {"--", "/bin/sh", "-c", "echo here; exec sleep 1h"});
    OutputReader command{daemon.ctl_command(std::move(all))};
    CHECK(command.read_line() == "here");
    command.process().signal(number);
    // If SIGTERM or SIGINT killed the command, evfdctl kills itself with the same signal. If
    // SIGUSR1 killed the command, evfdctl exits with a status, because only the command knows what
    // SIGUSR1 means.
    CHECK(command.wait() == (number == SIGUSR1 ? 128 + SIGUSR1 : -number));
}

TEST_CASE("a bash script and a program signal each other by name")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "ping", "--mode", "auto"});
    daemon.checked_ctl({"create", "pong", "--mode", "auto"});
    const auto script = EVFDD_SOURCE_DIR "/client/examples/shell/ping_pong.sh"s;
    const auto in_bash = [&](const std::string& side) {
        auto command = daemon.ctl_command(exec_command({"ping", "pong"}, {script, side, "5"}));
        const auto programs = std::filesystem::path{EVFDD_CTL}.parent_path().string();
        command.environment = {"EVFDD_SOCKET=" + daemon.path(),
                               "PATH=" + programs + ":" + ::getenv("PATH")};
        return command;
    };
    const auto client = daemon.client();
    const auto ping = client.open("ping");
    const auto pong = client.open("pong");
    REQUIRE((ping && pong));

    SECTION("the script asks")
    {
        OutputReader asking{in_bash("ask")};
        for (int round = 1; round <= 5; ++round) {
            REQUIRE(ping->wait(default_timeout) == 1);
            REQUIRE(pong->set());
            CHECK(asking.read_line() == "answer " + std::to_string(round) + " came");
        }
        CHECK_FALSE(asking.read_line());
        CHECK(asking.wait() == 0);
    }
    SECTION("the script answers")
    {
        OutputReader answering{in_bash("answer")};
        for (int round = 1; round <= 5; ++round) {
            REQUIRE(ping->set());
            REQUIRE(pong->wait(default_timeout) == 1);
            CHECK(answering.read_line() == "question " + std::to_string(round) + " came");
        }
        CHECK(answering.wait() == 0);
    }
    SECTION("one script asks and another answers")
    {
        OutputReader answering{in_bash("answer")};
        CHECK(run(in_bash("ask")).out == "answer 1 came\nanswer 2 came\nanswer 3 came\n"
                                         "answer 4 came\nanswer 5 came\n");
        CHECK(answering.wait() == 0);
    }
}

} // namespace
} // namespace evfd::e2e
