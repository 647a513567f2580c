// Tests of evfdd with too few descriptors or processes, or without its own program file.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"
#include "tests/support/unix_address.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <set>

namespace evfd::e2e {
namespace {

bool exists(const std::string& path)
{
    struct stat file_status{};
    return ::lstat(path.c_str(), &file_status) == 0;
}

std::string last_line(const std::string& text)
{
    return text.substr(text.rfind('\n', text.size() - 2) + 1);
}

TEST_CASE("evfdd with too few descriptors to start reports it and leaves no socket", "[alone]")
{
    const std::vector<std::string> how = GENERATE(
        std::vector<std::string>{}, std::vector{"--supervise"s}, std::vector{"--background"s});
#ifdef EVFDD_SANITIZED
    if (!how.empty())
        skip("a sanitizer opens descriptors of its own");
#endif
    // The lowest limit in this test. With a lower limit, the dynamic linker fails before evfdd
    // runs.
    constexpr rlim_t least = 8;
    constexpr rlim_t enough = 64; // With this limit the daemon can start.
    bool has_failed = false;
    bool has_started = false;
    for (rlim_t descriptors = least; descriptors <= enough; ++descriptors) {
        const TemporaryDirectory directory;
        const auto path = directory / "io.evfdd";
        Command command{.argv = {EVFDD_DAEMON, "--socket", path, "--idle-exit", "1ms"},
                        .descriptor_limit = descriptors};
        command.argv.insert(command.argv.end(), how.begin(), how.end());

        const auto ran = run(command);

        INFO(descriptors << " descriptors: " << ran.status << ", " << ran.err);
        if (ran.status == 0) {
            has_started = true;
            continue;
        }
        has_failed = true;
        // If evfdd fails with this limit, it must also have failed with every lower limit.
        CHECK_FALSE(has_started);
        CHECK(ran.status == 1);
        CHECK(last_line(ran.err).contains("Too many open files"));
        CHECK_FALSE(exists(path));
    }
    CHECK(has_failed);
    CHECK(has_started);
}

TEST_CASE("a daemon with a watchdog reports regularly that its loop runs")
{
    const TemporaryDirectory directory;
    const auto path = directory / "notify";
    const UniqueFd notify_socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    REQUIRE(bind_path(notify_socket, path) == 0);
    const auto daemon =
        start({.argv = {EVFDD_DAEMON, "--socket", directory / "io.evfdd"},
               .environment = {"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=20000", "WATCHDOG_PID="}});
    for (int pings = 0; pings < 3;) {
        REQUIRE(await_readable(notify_socket.get()));
        std::array<char, 256> text{};
        REQUIRE(::recv(notify_socket.get(), text.data(), text.size() - 1, 0) > 0);
        pings += text.data() == "WATCHDOG=1"s ? 1 : 0;
    }
}

// A supervisor and its daemon. Their program file is a copy of evfdd, so a test can move it away.
struct MovableProgram {
    RunResult ctl(std::vector<std::string> words) const
    {
        words.insert(words.begin(), {EVFDD_CTL, "--socket", path});
        return run({.argv = words});
    }
    std::string log() const { return read_file(directory / "log"); }
    ~MovableProgram()
    {
        supervisor.signal(SIGTERM);
        await_readable(supervisor.pidfd().get());
    }

    TemporaryDirectory directory;
    std::string program = directory / "evfdd";
    std::string path = directory / "io.evfdd";
    Process supervisor = [this] {
        std::filesystem::copy_file(EVFDD_DAEMON, program);
        return start_daemon(directory, {.argv = {program, "--socket", path, "--supervise"}});
    }();
};

TEST_CASE(
    "a supervisor without its program file retries until the file is back, and nothing is lost")
{
    const MovableProgram movable;
    REQUIRE(movable.ctl({"create", "e", "--initial", "1"}).status == 0);
    const auto away = movable.directory / "away";
    std::filesystem::rename(movable.program, away);
    const auto daemon = child_of(movable.supervisor.pid());
    const auto daemon_pidfd = pidfd_of(daemon);
    REQUIRE(::kill(daemon, SIGKILL) == 0);
    REQUIRE(await_readable(daemon_pidfd.get()));
    REQUIRE(poll_until([&] { return movable.log().contains("cannot be run"); }));
    CHECK(movable.log().contains(movable.program + " cannot be run: No such file or directory"));

    std::filesystem::rename(away, movable.program);

    CHECK(movable.ctl({"is-set", "e"}).status == 0);
}

TEST_CASE(
    "a daemon restarted with fewer descriptors than are stored for it starts with some objects",
    "[alone]")
{
    constexpr int objects = 300;
    constexpr rlim_t fewer{150};
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    for (int i = 0; i < objects; ++i)
        value_or_throw(client.create("e/" + std::to_string(i), {.initial = 1}));
    for (int i = 0; i < objects; ++i)
        value_or_throw(client.open("e/" + std::to_string(i)));
    const rlimit limit{fewer, fewer};
    REQUIRE(::prlimit(supervised.pid(), RLIMIT_NOFILE, &limit, nullptr) == 0);

    supervised.kill_daemon();

    const auto existing = value_or_throw(client.status()).objects;
    CHECK(existing > 0);
    CHECK(existing < objects);
    CHECK(supervised.log().contains("stashed descriptors cannot be received"));
    CHECK(supervised.log().contains("see RLIMIT_NOFILE"));
    std::int64_t listed = 0;
    REQUIRE(client.list("", [&](const protocol::Object& object) {
        ++listed;
        CHECK(object.is_set == true);
    }));
    CHECK(listed == existing);
}

TEST_CASE("acknowledged objects survive a kill under any limit of open files", "[alone]")
{
    const auto limit = GENERATE(values<rlim_t>({40, 64, 80, 96, 128, 160, 176, 300, 600}));
    CAPTURE(limit);
    const SupervisedDaemon supervised;
    const rlimit few{limit, limit};
    REQUIRE(::prlimit(supervised.pid(), RLIMIT_NOFILE, &few, nullptr) == 0);
    supervised.kill_daemon();
    std::set<std::string> existing;
    int created = 0;
    int opened = 0;
    const auto make_all = [&](WireClient& wire) {
        while (true) {
            const auto name = "e/" + std::to_string(created++);
            REQUIRE_FALSE(
                wire.request("CreateEvent", {{"name", name}, {"initial", 1}}).contains("error"));
            const bool is_opened =
                !wire.request("Open", {{"items", items({name})}}).contains("error");
            wire.descriptors().clear();
            existing.insert(name);
            opened += is_opened ? 1 : 0;
            if (!is_opened)
                return; // Stops when the daemon has no descriptor left for another eventfd.
        }
    };
    for (int round = 0; round < 3; ++round) {
        {
            WireClient wire{supervised.path()};
            make_all(wire);
            bool is_second = false;
            std::erase_if(existing, [&](const std::string& name) {
                is_second = !is_second;
                if (is_second)
                    wire.request("Delete", {{"items", items({name})}});
                return is_second;
            });
            make_all(wire);
        }
        supervised.kill_daemon();
        WireClient wire{supervised.path()};
        CHECK(wire.request("Status")["parameters"]["objects"] == existing.size());
        for (const auto& name : existing)
            CHECK(wire.request("Show", {{"name", name}})["parameters"]["object"]["isSet"] == true);
    }
    CHECK((opened == 0) == (limit < 60));
    CHECK_FALSE(supervised.log().contains("see RLIMIT_NOFILE"));
}

// Returns a command that runs evfdd as a user whose limit of processes is reached, so that fork(2)
// fails.
Command no_more_processes(const TemporaryDirectory& directory, std::string_view how)
{
    if (::chown((directory / "").c_str(), unprivileged_uid, unprivileged_uid) < 0)
        fail("chown(2)");
    return {.argv = {EVFDD_DAEMON, "--socket", directory / "io.evfdd", std::string{how}},
            // Disables the leak check of a sanitizer, because it needs another process.
            .environment = {"ASAN_OPTIONS=detect_leaks=0"},
            .user = User{unprivileged_uid},
            .in_child = [] {
                rlimit none{};
                ::getrlimit(RLIMIT_NPROC, &none);
                none.rlim_cur = 0;
                ::setrlimit(RLIMIT_NPROC, &none);
            }};
}

TEST_CASE("evfdd reports that it cannot fork into the background")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const auto ran = run(no_more_processes(directory, "--background"));
    CHECK(ran.status == 1);
    CHECK(ran.err == "evfdd: fork(2): Resource temporarily unavailable\n");
    CHECK_FALSE(exists(directory / "io.evfdd"));
}

TEST_CASE("a supervisor that cannot fork retries until it can")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    auto command = no_more_processes(directory, "--supervise");
    const UniqueFd log{
        ::open((directory / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    command.standard_error = log.get();
    auto supervisor = start(command);
    REQUIRE(poll_until([&] {
        return read_file(directory / "log")
            .contains("the daemon cannot be started: Resource temporarily unavailable");
    }));

    SECTION("it exits on SIGTERM before that")
    {
        supervisor.signal(SIGTERM);
        CHECK(supervisor.wait() == 0);
        CHECK_FALSE(exists(directory / "io.evfdd"));
        return;
    }
    Worker other_client{[&](const WorkerSocket&) {
        become_unprivileged();
        rlimit enough{};
        require(::prlimit(supervisor.pid(), RLIMIT_NPROC, nullptr, &enough) == 0, "prlimit(2)");
        enough.rlim_cur = enough.rlim_max;
        require(::prlimit(supervisor.pid(), RLIMIT_NPROC, &enough, nullptr) == 0, "prlimit(2)");
    }};
    REQUIRE(other_client.wait() == 0);

    CHECK(poll_until([&] {
        return run({.argv = {EVFDD_CTL, "--socket", directory / "io.evfdd", "status"}}).status == 0;
    }));
    supervisor.signal(SIGTERM);
    CHECK(supervisor.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
