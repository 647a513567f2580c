// Tests of evfdd --supervise, the parent process of the daemon. The supervisor restarts a daemon
// that was killed, and exits when the daemon exits by itself.
#include "tests/support/daemon_process.h"

#include "common/socket.h"
#include "tests/paths.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/send_with_fds.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <sstream>

namespace evfd::e2e {
namespace {

bool exists(const std::string& path)
{
    struct stat file_status{};
    return ::lstat(path.c_str(), &file_status) == 0;
}

Json status_of(const DaemonProcess& daemon)
{
    return Json::parse(daemon.checked_ctl({"status", "--json"}));
}

TEST_CASE("a supervisor restarts the daemon, and nothing is lost")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "tokens", "--mode", "semaphore", "--initial", "3"});
    const auto first = supervised.daemon_pid();
    CHECK(status_of(supervised)["fdStore"] == "supervisor");

    supervised.kill_daemon();

    const auto status = status_of(supervised);
    CHECK(status["pid"] != first);
    CHECK(status["pid"] == supervised.daemon_pid());
    CHECK(Json::parse(supervised.checked_ctl({"show", "tokens", "--json"}))["count"] == 3);
    CHECK(supervised.log().contains("was killed by signal 9"));
}

TEST_CASE(
    "a supervised daemon does without the kernel features that the supervisor was told to ignore")
{
    const SupervisedDaemon supervised{without_pass_rights};
    supervised.kill_daemon();
    // The supervisor has started a new daemon, which serves this call.
    supervised.checked_ctl({"status"});
    const auto arguments = "/proc/" + std::to_string(supervised.daemon_pid()) + "/cmdline";
    CHECK(read_file(arguments).contains("--without-kernel-feature\0pass-rights\0"s));

    WireClient wire{supervised.path()};
    const std::array passed{UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}};
    CHECK(send(wire.socket(), "x", passed));
}

TEST_CASE("a signal to the supervisor ends it and its daemon and removes the socket")
{
    const auto signal = GENERATE(SIGTERM, SIGINT);
    SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e"});
    const auto client = supervised.client();
    REQUIRE(client.open("e"));
    const auto daemon_pidfd = pidfd_of(supervised.daemon_pid());

    supervised.process().signal(signal);

    CHECK(supervised.process().wait() == 0);
    CHECK(await_readable(daemon_pidfd.get(), 0ns));
    CHECK_FALSE(exists(supervised.path()));
}

TEST_CASE("a supervisor that is asked to exit during the start of its daemon exits with status 0")
{
    for (int round = 0; round < 20; ++round) {
        SupervisedDaemon supervised;
        supervised.await_daemon_after(supervised.kill_daemon());
        supervised.process().signal(SIGTERM);
        CHECK(supervised.process().wait() == 0);
    }
}

TEST_CASE("a supervisor exits with its daemon when the daemon is asked to exit")
{
    for (int round = 0; round < 10; ++round) {
        SupervisedDaemon supervised;
        const auto client = supervised.client(2s);
        REQUIRE(client.create("p", {.mode = Mode::pulse}));
        // Because of this subscription, the client tries to reconnect as soon as the daemon exits.
        const auto pulse = value_or_throw(client.open("p"));
        ::kill(supervised.daemon_pid(), SIGTERM);
        CHECK(supervised.process().wait() == 0);
        CHECK_FALSE(exists(supervised.path()));
    }
}

TEST_CASE("a supervisor exits when its daemon was idle")
{
    SupervisedDaemon supervised{{"--idle-exit", "50ms"}};
    CHECK(supervised.process().wait() == 0);
    CHECK_FALSE(exists(supervised.path()));
}

TEST_CASE("a supervisor exits when its daemon was idle after an earlier kill")
{
    SupervisedDaemon supervised{{"--idle-exit", "50ms"}};
    {
        const auto client = supervised.client();
        REQUIRE(client.create("e"));
        supervised.kill_daemon();
        value_or_throw(client.delete_object(std::vector{"e"s}));
    }
    CHECK(supervised.process().wait() == 0);
}

TEST_CASE("a client that connects between the exits of an idle daemon and its supervisor is served")
{
    SupervisedDaemon supervised{{"--idle-exit", "5ms"}};
    // The idle daemon does not exit while this client is connected.
    std::optional<WireClient> first{supervised.path()};
    REQUIRE(first->request("Status").contains("parameters"));
    const auto daemon = supervised.daemon_pid();
    const auto daemon_pidfd = pidfd_of(daemon);
    supervised.process().stop();
    first.reset();
    REQUIRE(await_readable(daemon_pidfd.get()));

    WireClient second{supervised.path()};
    supervised.process().signal(SIGCONT);

    const auto status = second.request("Status");
    REQUIRE(status.contains("parameters"));
    CHECK(status["parameters"]["pid"] != daemon);
}

TEST_CASE("a client that connects after the exit of an idle daemon and its supervisor is refused")
{
    SupervisedDaemon supervised{{"--idle-exit", "5ms"}};
    REQUIRE(supervised.process().wait() == 0);
    CHECK_FALSE(exists(supervised.path()));
    CHECK_THROWS_AS(WireClient{supervised.path()}, std::runtime_error);
}

TEST_CASE("a second supervisor or daemon at the socket of a supervisor refuses to start")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e"});
    std::vector<std::string> words{EVFDD_DAEMON, "--socket", supervised.path()};
    if (GENERATE(true, false))
        words.emplace_back("--supervise");
    if (GENERATE(true, false))
        words.emplace_back("--background");
    const auto second = run({.argv = words});
    CHECK(second.status == 75);
    CHECK(second.err.contains("another evfdd is running at " + supervised.path()));
    CHECK(supervised.ctl({"show", "e"}).status == 0);
}

TEST_CASE("a supervisor at the socket of a daemon refuses to start")
{
    const DaemonProcess daemon;
    CHECK(run({.argv = {EVFDD_DAEMON, "--socket", daemon.path(), "--supervise"}}).status == 75);
    CHECK(daemon.ctl({"status"}).status == 0);
}

TEST_CASE("a supervisor requires a socket path")
{
    CHECK(run({.argv = {EVFDD_DAEMON, "--supervise"}}).status == 2);
}

TEST_CASE("an unknown kernel feature is reported with the list of known ones")
{
    const auto ran = run({.argv = {EVFDD_DAEMON, "--without-kernel-feature", "levitation"}});
    CHECK(ran.status == 2);
    CHECK(ran.err.starts_with("--without-kernel-feature: 'levitation' is not a kernel feature; "
                              "give one of pass-rights\n"));
}

TEST_CASE("a supervisor whose first daemon cannot start exits with the daemon's status")
{
    const TemporaryDirectory directory;
    const auto config = directory / "some.json";
    write_file(config, "{\n\"logLevel\": \"loud\"}");
    std::vector<std::string> words{EVFDD_DAEMON,  "--socket", directory / "io.evfdd",
                                   "--supervise", "--config", config};
    if (GENERATE(true, false))
        words.emplace_back("--background");
    const auto ran = run({.argv = words});
    CHECK(ran.status == 78);
    CHECK(ran.err.contains(config + ":2: logLevel: "));
    CHECK_FALSE(exists(directory / "io.evfdd"));
}

TEST_CASE("a supervisor retries when its daemon cannot be restarted, and nothing is lost")
{
    const TemporaryDirectory directory;
    const auto program = directory / "evfdd";
    const auto away = directory / "away";
    const auto socket = directory / "io.evfdd";
    std::filesystem::copy_file(EVFDD_DAEMON, program);
    auto supervisor =
        start_daemon(directory, {.argv = {program, "--socket", socket, "--supervise"}});
    const auto ctl = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {EVFDD_CTL, "--socket", socket});
        return run({.argv = std::move(words)}).status;
    };
    REQUIRE(ctl({"create", "e", "--initial", "1"}) == 0);

    std::filesystem::rename(program, away);
    REQUIRE(::kill(child_of(supervisor.pid()), SIGKILL) == 0);
    REQUIRE(poll_until([&] { return read_file(directory / "log").contains("the daemon failed"); }));
    std::filesystem::rename(away, program);

    CHECK(ctl({"is-set", "e"}) == 0);
    supervisor.signal(SIGTERM);
    CHECK(supervisor.wait() == 0);
}

TEST_CASE("a supervised daemon restarts with an unreadable configuration, and nothing is lost")
{
    const TemporaryDirectory directory;
    const auto config = directory / "some.json";
    write_file(config, "{}");
    const SupervisedDaemon supervised{{"--config", config}};
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    write_file(config, "{\"limits\": 1}");
    supervised.kill_daemon();
    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
    CHECK(supervised.log().contains("until the configuration can be read"));
}

TEST_CASE("100 kills lose nothing and leave no descriptor open in the supervisor")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    supervised.kill_daemon();
    supervised.checked_ctl({"show", "e"});
    const auto before = descriptors_of(supervised.pid());
    for (int i = 0; i < 100; ++i) {
        supervised.kill_daemon();
        if (i % 10 == 0)
            supervised.checked_ctl({"show", "e"});
    }
    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
    CHECK(descriptors_of(supervised.pid()) == before);
}

TEST_CASE("a daemon that is repeatedly killed before it is ready recovers in the end")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    pid_t last = 0;
    for (int i = 0; i < 30; ++i) {
        REQUIRE(poll_until([&] {
            const auto now = supervised.daemon_pid();
            return now > 0 && now != std::exchange(last, now);
        }));
        ::kill(last, SIGKILL);
    }
    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
}

// Returns the addresses of the Unix sockets of the process, from /proc/PID/fd and /proc/net/unix.
std::vector<std::string> addresses_of(pid_t process)
{
    std::vector<std::string> inodes;
    for (const auto& entry :
         std::filesystem::directory_iterator{"/proc/" + std::to_string(process) + "/fd"}) {
        std::error_code error;
        const auto target = std::filesystem::read_symlink(entry.path(), error).string();
        if (target.starts_with("socket:["))
            inodes.push_back(target.substr(8, target.size() - 9));
    }
    std::vector<std::string> addresses;
    std::istringstream lines{read_file("/proc/net/unix")};
    for (std::string line; std::getline(lines, line);)
        for (const auto& inode : inodes)
            if (const auto at = line.find(" " + inode + " "); at != std::string::npos)
                addresses.push_back(line.substr(at + inode.size() + 2));
    return addresses;
}

TEST_CASE("a supervisor and its daemon have no socket address except that of clients")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e"});
    // The supervisor binds the socket at a path with ".new" and renames the file. The kernel still
    // shows the path of the bind(2).
    CHECK(addresses_of(supervised.pid()) == std::vector{supervised.path() + ".new"});
    CHECK(addresses_of(supervised.daemon_pid()).front() == supervised.path() + ".new");
    CHECK(std::ranges::none_of(addresses_of(supervised.daemon_pid()),
                               [](const auto& address) { return address.starts_with('@'); }));
}

TEST_CASE("a daemon whose supervisor was killed reports that nothing keeps its state")
{
    SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    const auto daemon = supervised.daemon_pid();
    const auto ends = pidfd_of(daemon);

    supervised.process().signal(SIGKILL);
    REQUIRE(await_readable(supervised.process().pidfd().get()));

    CHECK(status_of(supervised)["fdStore"] == "none");
    CHECK(supervised.checked_ctl({"status"})
              .contains("nobody: a crash of the daemon loses all objects"));
    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
    CHECK(
        supervised.log().contains("the supervisor was killed, so a crash would lose all objects"));
    CHECK(supervised.log().contains("with: kill " + std::to_string(daemon) + "; then"));
    REQUIRE(::kill(daemon, SIGTERM) == 0);
    CHECK(await_readable(ends.get()));
}

TEST_CASE(
    "a supervisor in the background returns once clients can connect and keeps no output open")
{
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    const std::vector<std::string> words{EVFDD_DAEMON, "--socket", path, "--supervise",
                                         "--background"};
    OutputReader starting{{.argv = words}};
    // read_line() returns nothing once every process has closed the standard output.
    CHECK(starting.read_line() == std::nullopt);
    CHECK(starting.wait() == 0);

    const auto status = [&] {
        return Json::parse(run({.argv = {EVFDD_CTL, "--socket", path, "status", "--json"}}).out);
    };
    const auto pid = status()["pid"].get<pid_t>();
    // The supervisor is the session leader (setsid(2)), so its pid is the session id of the daemon.
    const auto supervisor = ::getsid(pid);
    const auto supervisor_pidfd = pidfd_of(supervisor);
    CHECK(child_of(supervisor) == pid);
    for (const auto process : {supervisor, pid})
        for (const auto* fd : {"/fd/0", "/fd/1", "/fd/2", "/cwd"}) {
            const auto target =
                std::filesystem::read_symlink("/proc/" + std::to_string(process) + fd);
            CHECK(target == (fd == "/cwd"s ? "/" : "/dev/null"));
        }
    CHECK(run({.argv = words}).status == 75);
    ::kill(pid, SIGKILL);
    const auto next = status()["pid"].get<pid_t>();
    CHECK(next != pid);
    CHECK(child_of(supervisor) == next);
    REQUIRE(::kill(supervisor, SIGTERM) == 0);
    CHECK(await_readable(supervisor_pidfd.get()));
    CHECK_FALSE(exists(path));
}

} // namespace
} // namespace evfd::e2e
