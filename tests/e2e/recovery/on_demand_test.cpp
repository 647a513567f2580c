// Tests of the user's own daemon, which evfdctl and the library start on demand.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/listener.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

// Returns the pid of the daemon's supervisor. The supervisor is the session leader (setsid(2)), so
// its pid is the session id.
pid_t supervisor_of(pid_t daemon)
{
    return ::getsid(daemon);
}

// The runtime directory of a user, in which evfdctl starts a daemon on demand. That daemon is not a
// child process of the test. The destructor therefore asks for the pid with evfdctl status, and
// ends the daemon.
class UserSession {
public:
    ~UserSession()
    {
        const auto status = ctl({"status", "--json"});
        if (status.status != 0)
            return;
        const auto daemon = Json::parse(status.out)["pid"].get<pid_t>();
        const bool has_supervisor = child_of(supervisor_of(daemon)) == daemon;
        const auto first = has_supervisor ? supervisor_of(daemon) : daemon;
        const auto pidfd = pidfd_of(first);
        ::kill(first, SIGTERM);
        await_readable(pidfd.get());
    }
    Command control(std::vector<std::string> words) const
    {
        words.insert(words.begin(), EVFDD_CTL);
        return {.argv = std::move(words),
                .environment = {"XDG_RUNTIME_DIR=" + (directory / "run"), "EVFDD_SOCKET="}};
    }
    RunResult ctl(std::vector<std::string> words) const
    {
        words.insert(words.begin(), "--user");
        return run(control(std::move(words)));
    }

    TemporaryDirectory directory;
    bool is_created = ::mkdir((directory / "run").c_str(), 0700) == 0;
};

TEST_CASE("evfdctl starts the user's own daemon, which keeps running")
{
    const UserSession home;
    REQUIRE(home.ctl({"create", "e"}).status == 0);
    CHECK(home.ctl({"set", "e"}).status == 0);
    CHECK(home.ctl({"is-set", "e"}).status == 0);

    struct stat file_status{};
    REQUIRE(::stat((home.directory / "run/evfdd").c_str(), &file_status) == 0);
    CHECK((file_status.st_mode & 07777) == 0700);
    CHECK(file_status.st_uid == ::geteuid());
    const auto socket = home.directory / "run/evfdd/io.evfdd";
    CHECK(run({.argv = {EVFDD_CTL, "--socket", socket, "is-set", "e"}}).status == 0);
}

TEST_CASE("many commands at once start exactly one daemon")
{
    const UserSession home;
    std::vector<OutputReader> commands;
    commands.reserve(20);
    for (int i = 0; i < 20; ++i)
        commands.emplace_back(home.control({"--user", "status", "--json"}));
    std::optional<Json> pid;
    for (auto& command : commands) {
        const auto line = command.read_line();
        CHECK(command.wait() == 0);
        CHECK(command.errors().empty());
        REQUIRE(line);
        const auto reported_pid = Json::parse(*line)["pid"];
        if (!pid)
            pid = reported_pid;
        CHECK(reported_pid == *pid);
    }
}

TEST_CASE("a killed daemon that was started on demand is replaced")
{
    const UserSession home;
    const auto pid = [&] {
        return Json::parse(home.ctl({"status", "--json"}).out)["pid"].get<pid_t>();
    };
    const auto first = pid();
    REQUIRE(home.ctl({"create", "e"}).status == 0);
    const bool kills_supervisor = GENERATE(false, true);
    const auto supervisor = supervisor_of(first);
    const auto victim = kills_supervisor ? supervisor : first;
    const auto pidfd = pidfd_of(victim);
    REQUIRE(::kill(victim, SIGKILL) == 0);
    REQUIRE(await_readable(pidfd.get()));
    // The daemon continues without its supervisor. The test ends here, because nothing would
    // restart the daemon after another kill.
    if (kills_supervisor) {
        CHECK(pid() == first);
        return;
    }
    CHECK(pid() != first);
    CHECK(supervisor_of(pid()) == supervisor);
    CHECK(home.ctl({"show", "e"}).status == 0);
}

// Checks that evfdctl refuses to use the directory of the socket, and that the message contains
// `why`.
void check_refused(const UserSession& home, std::string_view why)
{
    const auto ran = home.ctl({"status"});
    CHECK(ran.status == 5);
    CHECK(ran.err.contains(home.directory / "run/evfdd" + " " + std::string{why}));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("a socket directory that is open to others is refused")
{
    const UserSession home;
    const auto place = home.directory / "run/evfdd";
    if (GENERATE(false, true)) {
        REQUIRE(::mkdir(place.c_str(), 0700) == 0);
        REQUIRE(::chmod(place.c_str(), 0755) == 0);
        check_refused(home, "is open to others");
    } else {
        REQUIRE(::symlink((home.directory / "run").c_str(), place.c_str()) == 0);
        check_refused(home, "is not a directory");
    }
}

TEST_CASE("a socket directory that belongs to another user is refused")
{
    skip_unless_root("give a directory to another user");
    const UserSession home;
    const auto place = home.directory / "run/evfdd";
    REQUIRE(::mkdir(place.c_str(), 0700) == 0);
    REQUIRE(::chown(place.c_str(), unprivileged_uid, unprivileged_uid) == 0);
    check_refused(home, "belongs to another user");
}

TEST_CASE("the user's own daemon has its socket in /tmp without XDG_RUNTIME_DIR")
{
    // Runs evfdctl as an unprivileged user, who does not yet have the directory in /tmp. The test
    // can therefore remove the directory afterwards.
    skip_unless_root();
    const auto place = "/tmp/evfdd-" + std::to_string(unprivileged_uid);
    const TemporaryDirectory directory;
    const auto ctl = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {EVFDD_CTL, "--user"});
        return run({.argv = std::move(words),
                    .environment = {"XDG_RUNTIME_DIR=", "EVFDD_SOCKET="},
                    .user = User{unprivileged_uid}});
    };
    const auto status = ctl({"status", "--json"});
    INFO(status.err);
    REQUIRE(status.status == 0);
    struct stat file_status{};
    REQUIRE(::lstat(place.c_str(), &file_status) == 0);
    CHECK((file_status.st_mode & 07777) == 0700);
    CHECK(file_status.st_uid == unprivileged_uid);

    const auto supervisor = supervisor_of(Json::parse(status.out)["pid"].get<pid_t>());
    const auto pidfd = pidfd_of(supervisor);
    ::kill(supervisor, SIGTERM);
    CHECK(await_readable(pidfd.get()));
    ::unlink((place + "/io.evfdd.lock").c_str());
    CHECK(::rmdir(place.c_str()) == 0);
}

TEST_CASE("the command line takes precedence over EVFDD_SOCKET")
{
    const UserSession home;
    const DaemonProcess first;
    const DaemonProcess second;
    const auto pid_of = [&](std::vector<std::string> words, const std::string& variable) {
        auto command = home.control(std::move(words));
        command.argv.insert(command.argv.end(), {"status", "--json"});
        command.environment.back() = "EVFDD_SOCKET=" + variable;
        const auto ran = run(command);
        return ran.status == 0 ? Json::parse(ran.out)["pid"].get<pid_t>() : -ran.status;
    };
    CHECK(pid_of({"--socket", first.path()}, second.path()) == first.pid());
    CHECK(pid_of({}, second.path()) == second.pid());
    const auto own = pid_of({"--user"}, second.path());
    CHECK(own > 0);
    CHECK(own == pid_of({"--user"}, ""));
    CHECK(own != first.pid());
    CHECK(own != second.pid());
    CHECK(pid_of({"--user", "--system"}, "") == -2);
}

TEST_CASE("the error for a silent user service names its journal")
{
    const UserSession home;
    REQUIRE(::mkdir((home.directory / "run/evfdd").c_str(), 0700) == 0);
    const auto silent = listen_at(home.directory / "run/evfdd/io.evfdd");
    Worker program{[&](const WorkerSocket&) {
        ::setenv("XDG_RUNTIME_DIR", (home.directory / "run").c_str(), 1);
        const Client client{value_or_throw(Address::user()), 1ms};
        require(client.status().error().message ==
                    "the daemon does not answer; see journalctl --user -u evfdd, or restart it",
                "the error message is wrong");
    }};
    CHECK(program.wait() == 0);
}

TEST_CASE("Address::user_on_demand starts and creates nothing")
{
    const UserSession home;
    const auto is_running = [&] {
        Worker worker{[&](const WorkerSocket& parent) {
            ::setenv("XDG_RUNTIME_DIR", (home.directory / "run").c_str(), 1);
            parent.send(Address::user_on_demand() ? 1 : 0);
        }};
        return worker.receive() == 1;
    };
    CHECK_FALSE(is_running());
    CHECK_FALSE(std::filesystem::exists(home.directory / "run/evfdd"));
    REQUIRE(home.ctl({"create", "e"}).status == 0);
    CHECK(is_running());
}

TEST_CASE(
    "the lock file of an exited daemon does not make a service's socket look started on demand")
{
    const UserSession home;
    REQUIRE(::mkdir((home.directory / "run/evfdd").c_str(), 0700) == 0);
    write_file(home.directory / "run/evfdd/io.evfdd.lock", "");
    const auto service = listen_at(home.directory / "run/evfdd/io.evfdd");
    Worker program{[&](const WorkerSocket&) {
        ::setenv("XDG_RUNTIME_DIR", (home.directory / "run").c_str(), 1);
        require(!Address::user_on_demand(), "it looks started on demand");
        const Client client{value_or_throw(Address::user()), 1ms};
        require(client.status().error().message.contains("journalctl --user -u evfdd"),
                "the error does not name the journal");
    }};
    CHECK(program.wait() == 0);
}

TEST_CASE("a daemon started by a program that ignores SIGCHLD is restarted after a kill")
{
    const UserSession home;
    Worker program{[&](const WorkerSocket&) {
        ::setenv("XDG_RUNTIME_DIR", (home.directory / "run").c_str(), 1);
        ::setenv("PATH", std::filesystem::path{EVFDD_DAEMON}.parent_path().c_str(), 1);
        ::signal(SIGCHLD, SIG_IGN);
        ::close_range(STDIN_FILENO, STDERR_FILENO, 0);
        require(value_or_throw(Client{value_or_throw(Address::user())}.create("e")).created,
                "the create failed");
    }};
    REQUIRE(program.wait() == 0);
    const auto daemon = Json::parse(home.ctl({"status", "--json"}).out)["pid"].get<pid_t>();
    const auto ends = pidfd_of(daemon);
    REQUIRE(::kill(daemon, SIGKILL) == 0);
    REQUIRE(await_readable(ends.get()));
    CHECK(home.ctl({"show", "e"}).status == 0);
}

TEST_CASE("the library starts the user's own daemon")
{
    const UserSession home;
    Worker program{[&](const WorkerSocket&) {
        ::setenv("XDG_RUNTIME_DIR", (home.directory / "run").c_str(), 1);
        ::setenv("PATH", std::filesystem::path{EVFDD_DAEMON}.parent_path().c_str(), 1);
        require(
            value_or_throw(Client{value_or_throw(Address::user())}.create("from/library")).created,
            "the create failed");
    }};
    CHECK(program.wait() == 0);
    CHECK(home.ctl({"show", "from/library"}).status == 0);
}

} // namespace
} // namespace evfd::e2e
