// Tests of a child of fork(2) that uses the client of its parent.
#include "tests/support/daemon_process.h"
#include "tests/support/orphan_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <optional>
#include <thread>

namespace evfd::e2e {
namespace {

TEST_CASE("a child of fork has a session of its own, and its parent's session survives kills")
{
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    REQUIRE(client.create("mine", {.lifetime = Lifetime::session}));
    const auto pulse = value_or_throw(client.open("pulse"));
    Worker child{[&](const WorkerSocket& parent) {
        for (int i = 0; i < 3; ++i) {
            parent.receive();
            value_or_throw(client.status());
            const auto child_event = value_or_throw(client.open("pulse"));
            parent.send(0);
            require(value_or_throw(child_event.wait(default_timeout)) == 1, "no pulse arrived");
            parent.send(0);
        }
    }};
    for (int i = 0; i < 3; ++i) {
        supervised.kill_daemon();
        child.send(0);
        child.receive();
        value_or_throw(client.set(std::vector{"pulse"s}));
        child.receive();
        CHECK(value_or_throw(pulse.wait(default_timeout)) == 1);
    }
    CHECK(child.wait() == 0);
    CHECK(supervised.ctl({"show", "mine"}).status == 0);
}

// During the fork(2), the resume thread of the library holds locks. No thread of the child unlocks
// these locks, so the child must not wait for them.
TEST_CASE("a child forked while the library reconnects does not block")
{
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    const auto pulse = value_or_throw(client.open("pulse"));
    const auto first = threads_of(::getpid());
    // Stops the supervisor. The stopped supervisor keeps the socket open but starts no daemon, so a
    // client that connects gets no reply.
    REQUIRE(::kill(supervised.pid(), SIGSTOP) == 0);
    const auto daemon = supervised.daemon_pid();
    const auto daemon_pidfd = pidfd_of(daemon);
    ::kill(daemon, SIGKILL);
    REQUIRE(await_readable(daemon_pidfd.get()));
    REQUIRE(poll_until([&] {
        for (const auto thread : first)
            if (thread != ::getpid() && is_blocked_in(::getpid(), thread, SYS_ppoll))
                return true;
        return false;
    }));
    Worker child{[&](const WorkerSocket& parent) {
        parent.send(0);
        value_or_throw(client.status());
        parent.send(0);
    }};
    child.receive();
    REQUIRE(::kill(supervised.pid(), SIGCONT) == 0);
    child.receive();
    CHECK(child.wait() == 0);
    CHECK(client.status());
}

TEST_CASE("a temporary object is deleted with its creator although a child of it lives")
{
    const DaemonProcess daemon;
    Worker creator{[&](const WorkerSocket& parent) {
        const auto client = daemon.client();
        value_or_throw(client.create("mine", {.lifetime = Lifetime::session}));
        // Waits until the resume thread of the library blocks in poll(2) and so watches the
        // session.
        require(poll_until([] {
                    return std::ranges::any_of(threads_of(::getpid()), [](pid_t thread) {
                        return thread != ::getpid() && is_blocked_in(::getpid(), thread, SYS_poll);
                    });
                }),
                "no thread watches the session");
        const auto child = ::fork();
        require(child >= 0, "fork(2)");
        // The child lives longer than its parent. The child exits when the test closes the other
        // end of the socket.
        if (child == 0) {
            value_or_throw(client.status());
            parent.send(0);
            await_readable(parent.fd().get());
            ::_exit(EXIT_SUCCESS);
        }
        ::pause();
    }};
    creator.receive();
    CHECK(daemon.ctl({"show", "mine"}).status == 0);

    creator.process().signal(SIGKILL);
    creator.wait();

    CHECK(poll_until([&] { return daemon.ctl({"show", "mine"}).status == 3; }));
}

TEST_CASE("a temporary object is deleted although a child that never uses the library lives")
{
    const DaemonProcess daemon;
    std::optional<Client> client;
    const OrphanProcess child{[&] {
        client.emplace(daemon.client());
        value_or_throw(client->create("mine", {.lifetime = Lifetime::session}));
    }};
    CHECK(poll_until([&] { return daemon.ctl({"show", "mine"}).status == 3; }));
}

TEST_CASE("nothing is consumed for a wait of a dead process although a child of it lives")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    std::optional<Client> client;
    std::optional<std::jthread> waiter;
    const OrphanProcess child{[&] {
        client.emplace(daemon.client());
        waiter.emplace([&] { (void)client->wait(std::vector{"s"s}); });
        require(daemon.has_waits("s", 1), "the wait is not pending");
    }};
    CHECK(daemon.has_waits("s", 0));
    daemon.checked_ctl({"set", "s"});
    CHECK(value_or_throw(daemon.client().show("s")).count == 1);
}

TEST_CASE("a child can destroy its parent's client while the child has threads")
{
    const DaemonProcess daemon;
    std::optional<Client> client{daemon.client()};
    value_or_throw(
        // From this call on, a thread of the client watches its session.
        client->create("mine", {.lifetime = Lifetime::session}));
    Worker child{[&](const WorkerSocket&) {
        // The client's thread exists only in the parent. In this child, the new thread `own` can
        // get the pthread identifier that the client's thread has in the parent. client.reset()
        // must not mistake `own` for the client's thread and join `own`.
        const auto [reads, writes] = make_pipe();
        std::thread own{[&] { await_readable(reads.get()); }};
        client.reset();
        require(::write(writes.get(), "", 1) == 1, "write(2)");
        // If client.reset() has joined the thread `own` by mistake, this join() throws.
        own.join();
    }};
    CHECK(child.wait() == 0);
    CHECK(value_or_throw(client->show("mine")).name.text() == "mine");
}

TEST_CASE("a child that is forked while set_oneway waits for room has a connection of its own")
{
    DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("s", {.mode = Mode::semaphore}));
    daemon.process().signal(SIGSTOP);
    constexpr int sets = 1'000; // Too many for the socket.
    int sent = 0;
    std::atomic<pid_t> thread = 0;
    std::thread setter{[&] {
        thread = ::gettid();
        while (sent < sets && client.set_oneway(std::vector{"s"s}))
            ++sent;
    }};
    REQUIRE(poll_until([&] { return is_blocked_in(::getpid(), thread, SYS_ppoll); }));
    Worker child{[&](const WorkerSocket& parent) {
        value_or_throw(client.set_oneway(std::vector{"s"s}));
        parent.send(0);
        value_or_throw(client.status());
    }};
    child.receive();
    daemon.process().signal(SIGCONT);
    CHECK(child.wait() == 0);
    setter.join();
    CHECK(sent == sets);
    CHECK(value_or_throw(client.show("s")).count == sets + 1);
}

} // namespace
} // namespace evfd::e2e
