// Tests of the start and the end of the daemon.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/listener.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace evfd::e2e {
namespace {

bool exists(const std::string& path)
{
    struct stat file_status{};
    return ::lstat(path.c_str(), &file_status) == 0;
}

std::size_t lines(const std::string& text)
{
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST_CASE("a signal ends a daemon with objects and clients, and its socket is removed")
{
    const auto signal = GENERATE(SIGTERM, SIGINT);
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    OutputReader waiting{daemon.ctl_command({"wait", "e"})};
    REQUIRE(daemon.has_waits("e", 1));
    REQUIRE(exists(daemon.path()));

    daemon.process().signal(signal);

    CHECK(daemon.process().wait() == 0);
    CHECK_FALSE(exists(daemon.path()));
    CHECK(daemon.log().contains("stopping"));
}

TEST_CASE("a daemon that exits does not remove a socket that is not its own")
{
    DaemonProcess daemon;
    REQUIRE(::rename(daemon.path().c_str(), (daemon.directory() / "moved").c_str()) == 0);
    const auto other = listen_at(daemon.path());

    daemon.process().signal(SIGTERM);

    CHECK(daemon.process().wait() == 0);
    CHECK(exists(daemon.path()));
    CHECK(connect_to_path(daemon.path()));
}

TEST_CASE("a second daemon at a live socket refuses to start, and the first continues")
{
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto second = run({.argv = {EVFDD_DAEMON, "--socket", daemon.path()}});
    CHECK(second.status == 75);
    CHECK(second.err.contains("another evfdd is running at " + daemon.path()));
    CHECK(lines(second.err) == 1);
    CHECK(daemon.ctl({"show", "e"}).status == 0);
}

TEST_CASE("a daemon does not replace the socket of another listening program")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto other = listen_at(path);
    const auto refused = run({.argv = {EVFDD_DAEMON, "--socket", path}});
    CHECK(refused.status == 75);
    CHECK(refused.err.contains("something else is listening at " + path));
    CHECK(connect_to_path(path));
}

TEST_CASE("the option --check-socket names the daemon that listens there and the way to end it")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "precious"});
    const auto check = [&] {
        return run({.argv = {EVFDD_DAEMON, "--check-socket", supervised.path()}});
    };
    const auto refused = check();
    const auto supervisor = std::to_string(supervised.pid());
    CHECK(refused.status == 75);
    CHECK(lines(refused.err) == 1);
    CHECK(refused.err.contains("a daemon (process " + supervisor + ") listens at " +
                               supervised.path()));
    CHECK(refused.err.contains("kill " + supervisor));

    // The message advises the user to end the supervisor with kill(1), which sends SIGTERM.
    REQUIRE(::kill(supervised.pid(), SIGTERM) == 0);
    REQUIRE(await_readable(pidfd_of(supervised.pid()).get()));
    const auto free = check();
    CHECK(free.status == 0);
    CHECK(free.err.empty());
}

TEST_CASE("the option --check-socket accepts a stale socket and a missing one")
{
    DaemonProcess daemon;
    daemon.kill();
    REQUIRE(exists(daemon.path()));
    CHECK(run({.argv = {EVFDD_DAEMON, "--check-socket", daemon.path()}}).status == 0);
    const TemporaryDirectory directory;
    CHECK(run({.argv = {EVFDD_DAEMON, "--check-socket", directory / "none"}}).status == 0);
}

std::string journal_of(pid_t daemon)
{
    for (const auto& entry :
         std::filesystem::directory_iterator{fmt::format("/proc/{}/fd", daemon)}) {
        std::error_code ignored;
        if (std::filesystem::read_symlink(entry, ignored).string().contains("evfdd-journal"))
            return entry.path();
    }
    FAIL("the daemon has no journal");
    return {};
}

TEST_CASE("the option --print-journal prints the objects of a running daemon")
{
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", "semaphore", "--initial", "3"});
    const auto printed = run({.argv = {EVFDD_DAEMON, "--print-journal", journal_of(daemon.pid())}});
    CHECK(printed.status == 0);
    CHECK(printed.out.contains(R"("kind":"object","record":{"name":"e","mode":"semaphore")"));
    CHECK(printed.err.empty());
}

TEST_CASE("the option --print-journal refuses a file that is not a journal")
{
    const auto* path = GENERATE(EVFDD_DAEMON, "/dev/null", "");
    const auto refused = run({.argv = {EVFDD_DAEMON, "--print-journal", path}});
    CHECK(refused.status == 1);
    CHECK(refused.out.empty());
    CHECK(lines(refused.err) == 1);
}

TEST_CASE("the option --print-journal fails if its output cannot be written")
{
    DaemonProcess daemon;
    for (int i = 0; i < 100; ++i) // More lines than the buffer of stdout has room for.
        daemon.checked_ctl({"create", fmt::format("{}/{}", std::string(200, 'x'), i)});
    const auto command =
        fmt::format("{} --print-journal {} > /dev/full", EVFDD_DAEMON, journal_of(daemon.pid()));
    CHECK(run({.argv = {"/bin/sh", "-c", command}}).status == 1);
}

TEST_CASE("the option --check-socket does not name a listener whose process it cannot see")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    // evfdd cannot connect to this socket: the socket is of type SOCK_SEQPACKET, but evfdd uses
    // SOCK_STREAM.
    const auto other = listen_at(path, SOCK_SEQPACKET);
    const auto refused = run({.argv = {EVFDD_DAEMON, "--check-socket", path}});
    CHECK(refused.status == 75);
    CHECK(lines(refused.err) == 1);
    CHECK(refused.err.contains("another process may listen at " + path));
    CHECK_FALSE(refused.err.contains("kill"));
}

TEST_CASE("a daemon does not replace a file that is not a socket")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    write_file(path, "precious");
    const auto refused = run({.argv = {EVFDD_DAEMON, "--socket", path}});
    CHECK(refused.status == 1);
    CHECK(refused.err.contains("is not a socket"));
    CHECK(read_file(path) == "precious");
}

TEST_CASE("a daemon replaces the stale socket of a killed daemon")
{
    DaemonProcess daemon;
    daemon.kill();
    REQUIRE(exists(daemon.path()));
    CHECK(daemon.ctl({"status"}).status == 5);

    daemon.restart();

    CHECK(daemon.ctl({"status"}).status == 0);
    CHECK(daemon.log().contains("is stale"));
}

TEST_CASE("exactly one of several daemons that start at a stale socket at once survives")
{
    DaemonProcess daemon;
    daemon.kill();
    for (int round = 0; round < 5; ++round) {
        std::vector<Process> all;
        for (int i = 0; i < 6; ++i)
            all.push_back(start({.argv = {EVFDD_DAEMON, "--socket", daemon.path()}}));
        std::size_t refused = 0;
        std::vector<Process*> left;
        REQUIRE(poll_until([&] {
            refused = 0;
            left.clear();
            for (auto& one : all)
                if (await_readable(one.pidfd().get(), 0ns))
                    ++refused;
                else
                    left.push_back(&one);
            return refused == all.size() - 1;
        }));
        CHECK(poll_until([&] { return daemon.ctl({"status"}).status == 0; }));
        const auto status = Json::parse(daemon.checked_ctl({"status", "--json"}));
        CHECK(status["pid"] == left.front()->pid());
        for (auto& one : all)
            if (&one != left.front())
                CHECK(one.wait() == 75);
        left.front()->signal(SIGKILL);
        left.front()->wait();
    }
}

TEST_CASE("a daemon listens at passed sockets and does not remove their files")
{
    const TemporaryDirectory directory;
    const auto one = listen_at(directory / "one");
    const auto two = listen_at(directory / "two");
    auto daemon =
        start_daemon(directory, {.argv = {EVFDD_DAEMON}, .inherited_fds = {one.get(), two.get()}});

    CHECK(run({.argv = {EVFDD_CTL, "--socket", directory / "one", "create", "e"}}).status == 0);
    CHECK(run({.argv = {EVFDD_CTL, "--socket", directory / "two", "show", "e"}}).status == 0);
    daemon.signal(SIGTERM);
    CHECK(daemon.wait() == 0);
    CHECK(exists(directory / "one"));
    CHECK(exists(directory / "two"));
}

TEST_CASE("a daemon warns of a passed socket with wider permissions than configured")
{
    const auto [mode, warns] = GENERATE(table<mode_t, bool>({{0600, false}, {0660, true}}));
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const auto socket = listen_at(path);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    write_file(directory / "c.json", R"({"socketMode": "0600"})");
    const auto daemon =
        start_daemon(directory, {.argv = {EVFDD_DAEMON, "--config", directory / "c.json"},
                                 .inherited_fds = {socket.get()}});
    // start_daemon() returns when the daemon is ready. The daemon has written the warning before
    // that.
    CHECK(read_file(directory / "log").contains("admits more users") == warns);
}

TEST_CASE("a client that connected before the start of the daemon is served")
{
    const TemporaryDirectory directory;
    const auto socket = listen_at(directory / "io.evfdd");
    WireClient early{directory / "io.evfdd"};
    early.call("Status");
    const auto daemon =
        start_daemon(directory, {.argv = {EVFDD_DAEMON}, .inherited_fds = {socket.get()}});
    CHECK(early.reply()["parameters"]["pid"] == daemon.pid());
}

TEST_CASE("a daemon without a socket, or with a descriptor that is not a socket, reports it")
{
    const auto nothing = run({.argv = {EVFDD_DAEMON}});
    CHECK(nothing.status == 1);
    CHECK(nothing.err.contains("--socket"));
    const UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    const auto no_socket = run({.argv = {EVFDD_DAEMON}, .inherited_fds = {null.get()}});
    CHECK(no_socket.status == 1);
    CHECK(no_socket.err.contains("LISTEN_FDS"));
}

TEST_CASE("an idle daemon exits only without clients and objects")
{
    DaemonProcess daemon{{"--idle-exit", "100ms"}};
    WireClient wire{daemon.path()};
    wire.request("CreateEvent", {{"name", "e"}});
    // The daemon does not exit, because it has a client.
    CHECK_FALSE(await_readable(daemon.process().pidfd().get(), 300ms));
    wire = WireClient{daemon.path()};
    // The daemon does not exit, because it has an object and a client.
    CHECK_FALSE(await_readable(daemon.process().pidfd().get(), 300ms));
    {
        const auto closed = std::move(wire);
    }
    // The daemon does not exit, because it has an object.
    CHECK_FALSE(await_readable(daemon.process().pidfd().get(), 300ms));
    daemon.checked_ctl({"delete", "e"});

    CHECK(daemon.process().wait() == 0);
    CHECK_FALSE(exists(daemon.path()));
}

TEST_CASE("an idle daemon exits although no client ever connected")
{
    DaemonProcess daemon{{"--idle-exit", "50ms"}};
    CHECK(daemon.process().wait() == 0);
}

TEST_CASE("the socket file has the mode of --socket-mode")
{
    const auto [option, bits] =
        GENERATE(table<std::string, mode_t>({{"", 0666}, {"0600", 0600}, {"660", 0660}}));
    const DaemonProcess daemon{option.empty() ? std::vector<std::string>{}
                                              : std::vector{"--socket-mode"s, option}};
    struct stat file_status{};
    REQUIRE(::stat(daemon.path().c_str(), &file_status) == 0);
    CHECK((file_status.st_mode & 0777) == bits);
}

TEST_CASE("evfdd ends with status 2 for an invalid command line")
{
    const std::vector<std::string> words = GENERATE(
        std::vector{"--idle-exit"s, "soon"s}, std::vector{"--socket-mode"s, "rw"s},
        std::vector{"--log-level"s, "all"s}, std::vector{"--no-such-option"s}, std::vector{"x"s});
    Command command{.argv = {EVFDD_DAEMON, "--socket", "/nowhere/socket"}};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    const auto ran = run(command);
    CHECK(ran.status == 2);
    CHECK_FALSE(ran.err.empty());
}

TEST_CASE("a daemon reports why its socket cannot be created")
{
    const TemporaryDirectory directory;
    const auto path = GENERATE("missing/io.evfdd"s, std::string(200, 'x'));
    const auto ran = run({.argv = {EVFDD_DAEMON, "--socket", directory / path}});
    CHECK(ran.status == 1);
    CHECK(ran.err.contains(path));
    CHECK(lines(ran.err) == 1);
}

TEST_CASE("evfdd --background returns once clients can connect")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const std::vector<std::string> words{EVFDD_DAEMON, "--socket", path, "--background"};
    REQUIRE(run({.argv = words}).status == 0);

    const auto status =
        Json::parse(run({.argv = {EVFDD_CTL, "--socket", path, "status", "--json"}}).out);
    CHECK(run({.argv = words}).status == 75);

    const auto pid = status["pid"].get<pid_t>();
    // The daemon is the leader of its own session (setsid(2)), so it gets no SIGHUP from the
    // terminal.
    CHECK(::getsid(pid) == pid);
    REQUIRE(::kill(pid, SIGTERM) == 0);
    CHECK(poll_until([&] { return !exists(path); }));
}

} // namespace
} // namespace evfd::e2e
