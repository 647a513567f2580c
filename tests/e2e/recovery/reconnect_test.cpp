// Tests of the client library while the daemon does not run, restarts or does not reply.
#include "tests/support/daemon_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace evfd::e2e {
namespace {

TEST_CASE("a client reconnects after a restart of the daemon")
{
    DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e"));
    const auto is_killed = GENERATE(true, false);
    if (is_killed)
        daemon.kill();
    else {
        daemon.process().signal(SIGTERM);
        CHECK(daemon.process().wait() == 0);
    }
    daemon.restart();

    CHECK(value_or_throw(client.status()).pid == daemon.pid());
    CHECK(value_or_throw(client.create("f")).created);
    std::size_t listed = 0;
    CHECK(client.list("", [&](protocol::Object&) { ++listed; }));
    CHECK(listed >= 1);
}

TEST_CASE("a wait by name continues with the next daemon")
{
    DaemonProcess daemon;
    Worker waiter{[&](const WorkerSocket& parent) {
        const std::vector names{"e"s};
        parent.send(value_or_throw(daemon.client().wait(names)).size());
    }};
    OutputReader script{daemon.ctl_command({"wait", "e", "--timeout", "1h"})};
    REQUIRE(daemon.has_waits("e", 2));

    daemon.kill();
    daemon.restart();

    REQUIRE(daemon.has_waits("e", 2));
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    CHECK(waiter.receive() == 1);
    CHECK(script.wait() == 0);
}

TEST_CASE("a call waits for a daemon that is being restarted")
{
    DaemonProcess daemon;
    const auto client = daemon.client();
    value_or_throw(client.status());
    daemon.kill();
    std::expected<protocol::Status::Reply, Error> status = std::unexpected(Error{});
    std::thread caller{[&] { status = client.status(); }};
    daemon.restart();
    caller.join();
    REQUIRE(status);
    CHECK(status->pid == daemon.pid());
}

TEST_CASE("a call fails after the client's timeout when the daemon has exited for good")
{
    DaemonProcess daemon;
    const auto client = daemon.client(1s);
    value_or_throw(client.status());
    daemon.kill();
    CHECK(client.status().error().code == ErrorCode::no_daemon);
    CHECK(client.create("e").error().code == ErrorCode::no_daemon);
    CHECK(client.wait(std::vector{"e"s}).error().code == ErrorCode::no_daemon);
}

TEST_CASE("no call hangs while the daemon is stopped, and calls succeed when it continues")
{
    const DaemonProcess daemon;
    const auto connects_before = GENERATE(true, false);
    const auto client = daemon.client(1s);
    if (connects_before)
        REQUIRE(client.create("e"));
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);

    CHECK(client.status().error().code == ErrorCode::no_daemon);
    CHECK(client.create("f").error().code == ErrorCode::no_daemon);
    CHECK(client.open("e").error().code == ErrorCode::no_daemon);
    CHECK(client.wait(std::vector{"e"s}, {.timeout = 10ms}).error().code == ErrorCode::no_daemon);
    CHECK(client.list("", [](protocol::Object&) {}).error().code == ErrorCode::no_daemon);

    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
    const auto again = daemon.client();
    CHECK(value_or_throw(again.status()).pid == daemon.pid());
    CHECK(poll_until([&] { return client.status().has_value(); }));
}

TEST_CASE("operations on a descriptor succeed while the daemon is stopped")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    CHECK(event.set(2));
    CHECK(value_or_throw(event.is_set()));
    CHECK(value_or_throw(event.wait(default_timeout)) == 1);
    CHECK(event.clear());
    CHECK(value_or_throw(event.wait(0ns)) == 0);
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);
}

TEST_CASE("a call interrupted by a kill of the daemon is repeated or fails, and does not hang")
{
    DaemonProcess daemon;
    const auto client = daemon.client();
    value_or_throw(client.status());
    // Stops the daemon with SIGSTOP. The call below arrives at the daemon's socket, but the daemon
    // never reads the call.
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    const bool is_repeatable = GENERATE(true, false);
    Expected<void> answer = std::unexpected(Error{});
    std::thread caller{[&] {
        if (is_repeatable) {
            const auto status = client.status();
            answer = status ? Expected<void>{} : std::unexpected(status.error());
        } else {
            const auto created = client.create("e");
            answer = created ? Expected<void>{} : std::unexpected(created.error());
        }
    }};
    REQUIRE(poll_until([&] {
        for (const auto thread : threads_of(::getpid()))
            if (thread != ::getpid() && is_blocked_in(::getpid(), thread, SYS_ppoll))
                return true;
        return false;
    }));
    daemon.kill();
    daemon.restart();
    caller.join();

    if (is_repeatable) {
        INFO((answer ? "" : answer.error().message));
        CHECK(answer);
    } else {
        // The library cannot know whether the daemon executed the create. It therefore reports an
        // error and does not repeat the call.
        REQUIRE_FALSE(answer);
        CHECK(answer.error().code == ErrorCode::interrupted);
        CHECK(value_or_throw(client.status()).objects == 0);
    }
}

TEST_CASE("a monitor fails when the daemon is killed")
{
    DaemonProcess daemon;
    Worker monitor{[&](const WorkerSocket& parent) {
        const auto ended = daemon.client().monitor("", [&](protocol::Monitor::Reply&) {
            parent.send(0);
            return true;
        });
        require(!ended && ended.error().code == ErrorCode::interrupted, "the monitor did not end");
    }};
    monitor.receive(); // Waits until the worker says that its monitor is ready.
    daemon.kill();
    CHECK(monitor.wait() == 0);
}

TEST_CASE("a child of fork uses a connection of its own")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.lifetime = Lifetime::session}));
    const auto event = value_or_throw(client.open("e"));
    REQUIRE(value_or_throw(client.status()).connections == 1);
    Worker child{[&](const WorkerSocket& parent) {
        require(value_or_throw(client.status()).connections == 2,
                "the child uses its parent's connection");
        require(value_or_throw(client.create("from/child")).created, "the create failed");
        value_or_throw(event.set());
        parent.send(0);
        // The parent makes its calls at the same time. Neither process must get a reply to a call
        // of the other process.
        for (int i = 0; i < 500; ++i)
            require(value_or_throw(client.show("from/child")).name.text() == "from/child",
                    "the reply belongs to another call");
        parent.send(0);
    }};
    child.receive();
    for (int i = 0; i < 500; ++i)
        REQUIRE(value_or_throw(client.show("e")).name.text() == "e");
    child.receive();
    CHECK(child.wait() == 0);
    CHECK(value_or_throw(event.wait(0ns)) == 1);
    // The exit of the child must not end the session or the objects of the parent.
    CHECK(value_or_throw(client.show("e")).lifetime == Lifetime::session);
    CHECK(poll_until([&] { return value_or_throw(client.status()).connections == 1; }));
}

TEST_CASE("many threads can use one client")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    std::vector<std::thread> threads;
    std::atomic<int> failures = 0;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&, name = "e/" + std::to_string(i)] {
            const std::vector names{name};
            bool holds = client.create(name).has_value();
            for (int j = 0; j < 100 && holds; ++j) {
                const auto event = client.open(name);
                holds = event && event->set() && client.wait(names).has_value() &&
                        client.show(name)->name.text() == name && client.clear(names);
            }
            failures += holds ? 0 : 1;
        });
    for (auto& thread : threads)
        thread.join();
    CHECK(failures == 0);
    CHECK(value_or_throw(client.status()).objects == 8);
}

TEST_CASE("calls of set_oneway do not disturb the exactly-once calls of a session over kills")
{
    constexpr int rounds = 20;
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    REQUIRE(client.create("temporary", {.lifetime = Lifetime::session}));
    REQUIRE(client.create("s", {.mode = Mode::semaphore}));
    const auto set = [&] { return client.set(std::vector{"s"s}); };
    const auto set_oneway = [&] { return client.set_oneway(std::vector{"s"s}); };
    for (int i = 0; i < rounds; ++i) {
        // The reply to set() shows that the daemon has executed the earlier call as well.
        REQUIRE(set_oneway());
        REQUIRE(set());
        const auto previous = supervised.kill_daemon();
        if (i % 2 == 0)
            supervised.await_daemon_after(previous);
        REQUIRE(set_oneway());
        REQUIRE(set());
    }
    CHECK(value_or_throw(client.show("s")).count == 4 * rounds);
    CHECK(client.show("temporary"));
}

} // namespace
} // namespace evfd::e2e
