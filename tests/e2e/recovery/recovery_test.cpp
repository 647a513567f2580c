// Tests of a daemon that is killed and restarted by its supervisor, as its clients see it.
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

namespace evfd::e2e {
namespace {

Json status_of(const DaemonProcess& daemon)
{
    return Json::parse(daemon.checked_ctl({"status", "--json"}));
}

// Waits until every session has been resumed or has ended. Returns false if that takes too long.
bool are_all_resumed(const DaemonProcess& daemon)
{
    return poll_until([&] { return status_of(daemon)["orphanedSessions"] == 0; });
}

// A supervised daemon that waits only one second after its restart for clients to resume their
// sessions.
struct ShortGrace {
    static std::string write(const std::string& file)
    {
        write_file(file, R"({"resumeGrace": "1s"})");
        return file;
    }
    TemporaryDirectory directory;
    SupervisedDaemon daemon{{"--config", write(directory / "some.json")}};
};

TEST_CASE("open descriptors stay subscribed after a kill without a call by the client")
{
    const ShortGrace short_grace;
    const auto& supervised = short_grace.daemon;
    const auto client = supervised.client();
    REQUIRE(client.create("event", {.mode = Mode::semaphore}));
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    REQUIRE(client.arm("timer", {.after = 1h}));
    const auto event = value_or_throw(client.open("event"));
    const auto pulse = value_or_throw(client.open("pulse"));
    const auto timer = value_or_throw(client.open_timer("timer"));

    for (int round = 0; round < 5; ++round) {
        supervised.kill_daemon();
        REQUIRE(are_all_resumed(supervised));
        supervised.checked_ctl({"set", "event", "--count", "2"});
        supervised.checked_ctl({"set", "pulse", "--count", "3"});
        supervised.checked_ctl({"arm", "timer", "--in", "1ms"});
        REQUIRE(await_readable(event.fd()));
        REQUIRE(await_readable(pulse.fd()));
        REQUIRE(await_readable(timer.fd()));
        CHECK(value_or_throw(event.wait(0ns)) == 1);
        CHECK(value_or_throw(event.wait(0ns)) == 1);
        CHECK(value_or_throw(pulse.wait(0ns)) == 3);
        CHECK(value_or_throw(timer.wait(0ns)) == 1);
    }
}

TEST_CASE("a pulse and a timer reach subscribers that have not resumed their sessions yet")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "pulse", "--mode", "pulse"});
    supervised.checked_ctl({"arm", "timer", "--in", "1h"});
    Worker subscriber{[&](const WorkerSocket& parent) {
        const auto client = supervised.client();
        const auto pulse = value_or_throw(client.open("pulse"));
        const auto timer = value_or_throw(client.open_timer("timer"));
        parent.send(0);
        parent.receive();
        parent.send(static_cast<std::uint64_t>(value_or_throw(pulse.wait(default_timeout))));
        parent.send(static_cast<std::uint64_t>(value_or_throw(timer.wait(default_timeout))));
    }};
    subscriber.receive();
    subscriber.process().signal(SIGSTOP);
    supervised.kill_daemon();
    supervised.checked_ctl({"set", "pulse", "--count", "2"});
    supervised.checked_ctl({"arm", "timer", "--in", "1ms"});
    supervised.kill_daemon();
    supervised.checked_ctl({"set", "pulse", "--count", "3"});
    subscriber.process().signal(SIGCONT);
    subscriber.send(0);
    CHECK(subscriber.receive() == 5);
    CHECK(subscriber.receive() == 1);
    CHECK(subscriber.wait() == 0);
}

TEST_CASE("a wait-only descriptor reports sets after kills of the daemon")
{
    skip_unless_root();
    const ShortGrace short_grace;
    const auto& supervised = short_grace.daemon;
    supervised.checked_ctl({"create", "manual", "--permissions", "0644"});
    supervised.checked_ctl({"create", "auto", "--mode", "auto", "--permissions", "0644"});
    Worker reader{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto client = supervised.client();
        const auto manual = value_or_throw(client.open("manual"));
        const auto automatic = value_or_throw(client.open("auto"));
        require(!manual.access().set && !automatic.access().set, "the access includes set");
        parent.send(0);
        while (parent.receive() == 0) {
            require(await_readable(manual.fd()), "the manual event is not readable");
            require(value_or_throw(manual.wait(default_timeout)) == 1,
                    "the manual event is not set");
            require(await_readable(automatic.fd()), "the auto event is not readable");
            require(value_or_throw(automatic.is_set()), "the auto event is not set");
            parent.send(0);
        }
    }};
    reader.receive();
    for (int round = 0; round < 3; ++round) {
        supervised.kill_daemon();
        REQUIRE(are_all_resumed(supervised));
        reader.send(0);
        supervised.checked_ctl({"set", "manual", "auto"});
        supervised.kill_daemon();
        reader.receive();
        supervised.checked_ctl({"clear", "manual", "auto"});
    }
    reader.send(1);
    CHECK(reader.wait() == 0);
}

TEST_CASE("calls from several threads succeed while the daemon is killed")
{
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    std::atomic<bool> goes_on = true;
    std::atomic<int> calls = 0;
    std::vector<std::string> errors(4);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < errors.size(); ++i)
        threads.emplace_back([&, i] {
            try {
                const auto name = "thread/" + std::to_string(i);
                const std::vector names{name};
                std::int64_t tokens = 0;
                while (goes_on) {
                    require(value_or_throw(client.create(name, {.mode = Mode::semaphore})).created,
                            "the create failed");
                    const auto event = value_or_throw(client.open(name));
                    tokens = 0;
                    for (int j = 0; j < 5; ++j) {
                        value_or_throw(client.set(names, 2));
                        value_or_throw(event.set());
                        require(value_or_throw(client.wait(names)).size() == 1,
                                "the wait consumed nothing");
                        tokens += 2;
                        const auto count = value_or_throw(client.show(name)).count;
                        require(count == tokens, name + " has " + std::to_string(*count) +
                                                     " tokens instead of " +
                                                     std::to_string(tokens));
                    }
                    value_or_throw(client.delete_object(names));
                    ++calls;
                }
            } catch (const std::exception& error) {
                errors[i] = error.what();
            }
        });
    for (int kill = 0; kill < 60; ++kill) {
        const auto before = calls.load();
        supervised.kill_daemon();
        // In every third round, waits until a call is complete before the next kill. In the other
        // rounds the next kill comes during the recovery of the daemon.
        if (kill % 3 == 0)
            poll_until([&] {
                return calls > before || std::ranges::any_of(errors, [](const auto& error) {
                           return !error.empty();
                       });
            });
    }
    goes_on = false;
    for (auto& thread : threads)
        thread.join();
    for (const auto& error : errors)
        CHECK(error == "");
    CHECK(value_or_throw(client.status()).objects == 0);
}

TEST_CASE("temporary objects survive a kill if their creator lives and are deleted if it exited")
{
    const ShortGrace short_grace;
    const auto& supervised = short_grace.daemon;
    const auto client = supervised.client();
    REQUIRE(client.create("alive", {.lifetime = Lifetime::session}));
    Worker other{[&](const WorkerSocket& parent) {
        const auto worker_client = supervised.client();
        value_or_throw(worker_client.create("dead", {.lifetime = Lifetime::session}));
        value_or_throw(
            worker_client.arm("dead/timer", {.after = 1h}, {.lifetime = Lifetime::session}));
        parent.send(0);
        parent.receive();
    }};
    other.receive();
    supervised.stop_daemon();
    other.process().signal(SIGKILL);
    other.wait();
    supervised.kill_daemon();

    // The object of the killed client exists until the grace time of one second is over. Exit
    // statuses 0 and 3 are both right, because this command can run before or after that moment.
    const auto shown = supervised.ctl({"show", "dead"});
    CHECK((shown.status == 0 || shown.status == 3));
    CHECK(poll_until([&] { return supervised.ctl({"show", "dead"}).status == 3; }));
    CHECK(supervised.ctl({"show", "dead/timer"}).status == 3);
    CHECK(status_of(supervised)["orphanedSessions"] == 0);
    CHECK(supervised.ctl({"show", "alive"}).status == 0);
}

TEST_CASE("a recovered daemon exits when idle after the grace time of sessions that nobody resumes")
{
    const TemporaryDirectory directory;
    const auto config = directory / "some.json";
    write_file(config, R"({"resumeGrace": "1s"})");
    SupervisedDaemon supervised{{"--config", config, "--idle-exit", "50ms"}};
    Worker other{[&](const WorkerSocket& parent) {
        const auto worker_client = supervised.client();
        value_or_throw(worker_client.create("dead", {.lifetime = Lifetime::session}));
        parent.send(0);
        parent.receive();
    }};
    other.receive();
    supervised.stop_daemon();
    other.process().signal(SIGKILL);
    other.wait();
    supervised.kill_daemon();
    CHECK(supervised.process().wait() == 0);
}

TEST_CASE("evfdctl wait continues over kills")
{
    const SupervisedDaemon supervised;
    OutputReader missing{supervised.ctl_command({"wait", "later"})};
    supervised.checked_ctl({"create", "e", "--mode", "auto"});
    OutputReader waiting{supervised.ctl_command({"wait", "e"})};
    REQUIRE(supervised.has_waits("e", 1));
    for (int i = 0; i < 5; ++i)
        supervised.kill_daemon();
    supervised.checked_ctl({"create", "later", "--initial", "1"});
    supervised.checked_ctl({"set", "e"});
    CHECK(missing.wait() == 0);
    CHECK(waiting.wait() == 0);
    CHECK(supervised.ctl({"is-set", "e"}).status == 1);
}

TEST_CASE("evfdctl on runs its command once for each set over kills")
{
    const SupervisedDaemon supervised;
    const auto [mode, counts] = GENERATE(
        table<std::string, bool>({{"auto", false}, {"semaphore", false}, {"pulse", true}}));
    CAPTURE(mode);
    supervised.checked_ctl({"create", "e", "--mode", mode});
    OutputReader runner{
        supervised.ctl_command({"on", "e", "--", "/bin/sh", "-c", "echo $EVFD_COUNT"})};
    REQUIRE(supervised.has_waits("e", 1));
    if (counts)
        REQUIRE(poll_until([&] {
            return value_or_throw(supervised.client().show("e")).subscribers == std::int64_t{1};
        }));
    for (int round = 0; round < 5; ++round) {
        supervised.kill_daemon();
        if (round % 2 == 0)
            REQUIRE(supervised.has_waits("e", 1));
        supervised.checked_ctl({"set", "e"});
        CHECK(runner.read_line() == "1");
    }
    runner.process().signal(SIGTERM);
    CHECK(runner.wait() == -SIGTERM);
    CHECK(runner.errors() == "");
}

TEST_CASE("evfdctl monitor prints the whole state again after a kill and continues")
{
    const SupervisedDaemon supervised;
    supervised.checked_ctl({"create", "e"});
    OutputReader monitor{supervised.ctl_command({"monitor", "--json"})};
    const auto await_change = [&](const std::string& change) {
        while (true) {
            const auto line = monitor.read_line();
            INFO(monitor.errors());
            REQUIRE(line);
            if (const auto update = Json::parse(*line); update["change"] == change)
                return update;
        }
    };
    await_change("ready");
    for (int round = 0; round < 3; ++round) {
        supervised.kill_daemon();
        CHECK(await_change("present")["name"] == "e");
        await_change("ready");
        supervised.checked_ctl({"set", "e"});
        CHECK(await_change("changed")["object"]["isSet"] == true);
        supervised.checked_ctl({"clear", "e"});
        await_change("changed");
    }
    monitor.process().signal(SIGTERM);
    CHECK(monitor.wait() == -SIGTERM);
}

TEST_CASE("evfdctl monitor fails when the daemon exits for good")
{
    DaemonProcess daemon;
    OutputReader monitor{daemon.ctl_command({"monitor"})};
    REQUIRE(monitor.read_line()); // Waits for the first line, which says that the monitor is ready.
    daemon.kill();
    CHECK(monitor.wait() == 5);
    CHECK(std::ranges::count(monitor.errors(), '\n') == 1);
}

TEST_CASE("a client stopped for longer than the grace time can create and open new objects")
{
    const ShortGrace short_grace;
    const auto& supervised = short_grace.daemon;
    supervised.checked_ctl({"create", "pulse", "--mode", "pulse"});
    Worker sleeper{[&](const WorkerSocket& parent) {
        const auto client = supervised.client();
        const auto before = value_or_throw(client.open("pulse"));
        value_or_throw(client.create("gone", {.lifetime = Lifetime::session}));
        parent.send(0);
        parent.receive();
        require(value_or_throw(client.create("after")).created, "the create failed");
        const auto again = value_or_throw(client.open("pulse"));
        parent.send(0);
        require(value_or_throw(again.wait(default_timeout)) == 1, "no pulse arrived");
        require(client.show("gone").error().code == ErrorCode::no_such_name,
                "the object still exists");
    }};
    sleeper.receive();
    sleeper.process().signal(SIGSTOP);
    supervised.kill_daemon();
    REQUIRE(poll_until([&] { return supervised.ctl({"show", "gone"}).status == 3; }));
    sleeper.process().signal(SIGCONT);
    sleeper.send(0);
    sleeper.receive();
    supervised.checked_ctl({"set", "pulse"});
    CHECK(sleeper.wait() == 0);
}

TEST_CASE("the library's thread does not spin while the daemon is away")
{
    DaemonProcess daemon;
    const auto client = daemon.client(2s);
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    const auto pulse = value_or_throw(client.open("pulse"));
    daemon.kill();
    // Waits until the resume thread of the library is in poll(2) with two descriptors and a timeout
    // of one second (0x3e8 ms), as /proc/PID/syscall shows.
    CHECK(poll_until([&] {
        for (const auto thread : threads_of(::getpid()))
            if (const auto call = system_call_of(::getpid(), thread);
                call.starts_with(std::to_string(SYS_poll) + " ") && call.contains(" 0x2 0x3e8 "))
                return true;
        return false;
    }));
    daemon.restart();
}

TEST_CASE("the first call to a daemon without state is executed")
{
    DaemonProcess daemon; // This daemon has no supervisor, so its objects do not survive the kill.
    const auto client = daemon.client();
    REQUIRE(client.create("before"));
    daemon.kill();
    daemon.restart();
    const auto created = client.create("after");
    INFO((created ? "" : created.error().message));
    CHECK(created);
    CHECK(client.show("before").error().code == ErrorCode::no_such_name);
}

void create_many(const DaemonProcess& daemon, int count)
{
    WireClient wire{daemon.path()};
    constexpr int at_once = 500;
    for (int i = 0; i < count; i += at_once) {
        for (int j = i; j < i + at_once; ++j)
            wire.call("CreateEvent", {{"name", "many/" + std::to_string(j)}});
        for (int j = 0; j < at_once; ++j) {
            const auto reply = wire.reply();
            INFO(reply.dump());
            REQUIRE_FALSE(reply.contains("error"));
        }
    }
}

TEST_CASE("a list over kills returns each name once and in order")
{
    constexpr int count = 3'000;
    const SupervisedDaemon supervised;
    create_many(supervised, count);
    const auto client = supervised.client();
    for (int round = 0; round < 5; ++round) {
        std::vector<std::string> names;
        const auto listed = client.list("many/*", [&](protocol::Object& object) {
            names.emplace_back(object.name.text());
            if (names.size() % 1'000 == 1)
                supervised.kill_daemon();
        });
        INFO((listed ? "" : listed.error().message));
        CHECK(listed);
        CHECK(names.size() == count);
        CHECK(std::ranges::is_sorted(names));
        CHECK(std::set(names.begin(), names.end()).size() == count);
    }
}

TEST_CASE("15,000 objects, 8,000 of them opened, are recovered after a kill", "[alone]")
{
    constexpr int count = 15'000;
    constexpr int opened = 8'000;
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    if (value_or_throw(client.status()).descriptor_limit / 4 * 3 < opened)
        skip("the hard limit of open files (RLIMIT_NOFILE) is below 12000");
    create_many(supervised, count);
    for (int i = 0; i < opened; ++i)
        value_or_throw(client.open("many/" + std::to_string(i)));
    supervised.checked_ctl({"set", "many/0", "many/9000"});

    supervised.kill_daemon();

    WireClient wire{supervised.path()};
    const auto status = wire.request("Status")["parameters"];
    CHECK(status["objects"] == count);
    CHECK(supervised.ctl({"is-set", "many/0"}).status == 0);
    CHECK(supervised.ctl({"is-set", "many/1"}).status == 1);
    CHECK(supervised.ctl({"is-set", "many/9000"}).status == 0);
    CHECK(supervised.ctl({"is-set", "many/9001"}).status == 1);
}

} // namespace
} // namespace evfd::e2e
