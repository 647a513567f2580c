// Tests of a daemon that is started in an unusual environment: signals ignored or blocked, standard
// streams closed, a file size limit, no devices.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/process_status.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

void ignore_all_signals()
{
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        ::signal(signal, SIG_IGN);
}

void block_all_signals()
{
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

void limit_files(rlim_t soft, rlim_t hard)
{
    const rlimit limit{soft, hard};
    if (::setrlimit(RLIMIT_FSIZE, &limit) < 0)
        ::_exit(could_not_execute);
}

// Enters a new mount namespace and mounts an empty /dev there.
void hide_devices()
{
    if (::unshare(CLONE_NEWNS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount("none", "/dev", "tmpfs", 0, nullptr) < 0)
        ::_exit(could_not_execute);
}

Command prepared_command(std::function<void()> in_child)
{
    return {.argv = {}, .in_child = std::move(in_child)};
}

std::string target_of(pid_t process, int fd)
{
    return std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/fd/" +
                                         std::to_string(fd));
}

TEST_CASE("a supervisor started with all signals ignored or blocked restarts its daemon and obeys "
          "SIGTERM")
{
    SupervisedDaemon supervised{{},
                                prepared_command(GENERATE(ignore_all_signals, block_all_signals))};
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    const auto first = supervised.daemon_pid();

    supervised.kill_daemon();

    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
    CHECK(supervised.daemon_pid() != first);
    supervised.process().signal(SIGTERM);
    CHECK(supervised.process().wait() == 0);
}

// Returns the number after `key` in /proc/PID/status. The base is 16 for a set of signals, and 8
// for the umask. See proc(5).
std::uint64_t status_field(pid_t process, std::string_view key, int base)
{
    return process_number(process, "status", key, base);
}

std::uint64_t signal_set(std::initializer_list<int> signals)
{
    std::uint64_t set = 0;
    for (const int signal : signals)
        set |= std::uint64_t{1} << (signal - 1);
    return set;
}

TEST_CASE("a supervisor and its daemon set their own signal masks and umask, whatever they inherit")
{
    const SupervisedDaemon supervised{{}, prepared_command([] {
                                          ignore_all_signals();
                                          block_all_signals();
                                          ::umask(0);
                                      })};
    const auto daemon = supervised.daemon_pid();
    for (const auto process : {supervised.pid(), daemon}) {
        CHECK(status_field(process, "SigIgn", 16) == signal_set({SIGPIPE, SIGXFSZ}));
        CHECK(status_field(process, "Umask", 8) == 0077);
    }
    CHECK(status_field(daemon, "SigBlk", 16) == signal_set({SIGHUP, SIGINT, SIGTERM}));
    CHECK(status_field(supervised.pid(), "SigBlk", 16) ==
          signal_set({SIGHUP, SIGINT, SIGTERM, SIGCHLD}));
}

TEST_CASE("a daemon started with all signals ignored or blocked obeys SIGTERM")
{
    DaemonProcess daemon{{}, prepared_command(GENERATE(ignore_all_signals, block_all_signals))};
    daemon.process().signal(SIGTERM);
    CHECK(daemon.process().wait() == 0);
}

TEST_CASE("SIGPIPE and SIGXFSZ do not end a daemon")
{
    DaemonProcess daemon;
    daemon.process().signal(SIGPIPE);
    daemon.process().signal(SIGXFSZ);
    CHECK(daemon.ctl({"status"}).status == 0);
}

TEST_CASE("the log is not written into the journal if the standard streams were closed")
{
    const SupervisedDaemon supervised{{}, prepared_command([] { ::close_range(0, 2, 0); })};
    for (int i = 0; i < 20; ++i)
        supervised.checked_ctl({"create", "keep/" + std::to_string(i)});
    for (const auto process : {supervised.pid(), supervised.daemon_pid()})
        for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
            CHECK(target_of(process, fd) == "/dev/null");
    for (int i = 0; i < 20; ++i) { // Each SIGHUP makes the daemon write a line to its log.
        REQUIRE(::kill(supervised.daemon_pid(), SIGHUP) == 0);
        supervised.checked_ctl({"status"});
    }

    supervised.kill_daemon();

    CHECK(Json::parse(supervised.checked_ctl({"status", "--json"}))["objects"] == 20);
}

TEST_CASE("a soft limit for the file size does not limit the daemon")
{
    const SupervisedDaemon supervised{{},
                                      prepared_command([] { limit_files(4096, RLIM_INFINITY); })};
    supervised.checked_ctl({"create", "e", "--initial", "1"});
    supervised.kill_daemon();
    CHECK(supervised.ctl({"is-set", "e"}).status == 0);
}

TEST_CASE("calls that reach a hard limit for the file size are refused with its name")
{
    const SupervisedDaemon supervised{{}, prepared_command([] { limit_files(500'000, 500'000); })};
    const auto daemon = supervised.daemon_pid();
    supervised.checked_ctl({"create", "keep", "--initial", "1"});
    WireClient wire{supervised.path()};
    Json reply;
    for (int i = 0; i < 100'000 && !reply.contains("error"); ++i)
        reply = wire.request("CreateEvent", {{"name", "x/" + std::to_string(i)}});
    REQUIRE(reply.contains("error"));

    INFO(reply.dump());
    CHECK(reply["parameters"]["message"].get<std::string>().contains(
        "raise the limit RLIMIT_FSIZE (ulimit -f)"));
    CHECK(supervised.ctl({"is-set", "keep"}).status == 0);
    CHECK(supervised.daemon_pid() == daemon);
    CHECK(supervised.log().contains("RLIMIT_FSIZE"));
    CHECK_FALSE(supervised.log().contains("free some memory"));
}

TEST_CASE("a daemon that cannot allocate its state under a file size limit names the limit")
{
    const TemporaryDirectory directory;
    const auto ran = run({.argv = {EVFDD_DAEMON, "--socket", directory / "io.evfdd"},
                          .in_child = [] { limit_files(4096, 4096); }});
    CHECK(ran.status == 1);
    CHECK(ran.err == "evfdd: fallocate(2): File too large; raise the limit RLIMIT_FSIZE (ulimit "
                     "-f)\n");
}

TEST_CASE("a daemon without devices starts, restarts, and adds tokens to open events")
{
    skip_unless_root("hide devices");
    const SupervisedDaemon supervised{{}, prepared_command(hide_devices)};
    const auto client = supervised.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    const auto held = value_or_throw(client.open("e"));
    for (int round = 1; round <= 2; ++round) {
        REQUIRE(client.set(std::vector{"e"s}));
        CHECK(value_or_throw(held.wait(default_timeout)) == 1);
        supervised.kill_daemon();
    }
    CHECK(supervised.ctl({"show", "e"}).status == 0);
}

TEST_CASE("a daemon without devices goes to the background and keeps no output open")
{
    skip_unless_root("hide devices");
    const TemporaryDirectory directory;
    const auto path = directory / "io.evfdd";
    OutputReader starting{
        {.argv = {EVFDD_DAEMON, "--socket", path, "--background", "--idle-exit", "0s"},
         .in_child = hide_devices}};
    CHECK(starting.read_line() == std::nullopt);
    CHECK(starting.wait() == 0);
}

TEST_CASE("a program executed by the daemon would inherit only the standard streams")
{
    const SupervisedDaemon supervised{
        // The child process closes all descriptors from 3 upwards that it inherits from the test.
        {},
        prepared_command([] { ::close_range(3, ~0U, 0); })};
    const auto of = "/proc/" + std::to_string(supervised.daemon_pid());
    std::vector<std::string> inherited;
    for (const auto& entry : std::filesystem::directory_iterator{of + "/fdinfo"}) {
        const auto number = entry.path().filename().string();
        const auto info = read_file(entry.path());
        const auto flags = info.find("flags:");
        REQUIRE(flags != std::string::npos);
        if ((std::stoul(info.substr(flags + 6), nullptr, 8) & O_CLOEXEC) == 0)
            inherited.push_back(number);
    }
    std::ranges::sort(inherited);
    CHECK(inherited == std::vector{"0"s, "1"s, "2"s});
}

} // namespace
} // namespace evfd::e2e
