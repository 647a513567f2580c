// Tests of evfd.h with several threads, after fork(2), and with a daemon that is killed.
#include "tests/c/fixture.h"
#include "tests/support/orphan_process.h"
#include "tests/support/torn_journal.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace evfd::e2e {
namespace {

TEST_CASE("threads can open, set, wait for and close private and shared events at the same time")
{
    const ConnectedDaemon daemon;
    const int shared = create_event("shared", EVFD_SEMAPHORE);
    constexpr int threads = 8;
    constexpr int rounds = 50;
    std::atomic<int> failures = 0;
    std::atomic<std::int64_t> consumed = 0;
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i)
        all.emplace_back([&, name = "e/" + std::to_string(i)] {
            bool holds = true;
            for (int round = 0; round < rounds && holds; ++round) {
                const int own = evfd_open(name.c_str(), EVFD_CREATE | EVFD_AUTO, 0666, 0);
                holds = own >= 0 && evfd_set(own) == 0 && evfd_wait(own, timeout_ns) == 1 &&
                        evfd_set_name(name.c_str()) == 0 && evfd_is_set(own) == 1 &&
                        evfd_wait_any(&own, 1, timeout_ns, nullptr) == 0 && evfd_close(own) == 0;
                // From here on, another thread can get the number of `own` for its event.
                holds = holds && evfd_add(shared, 2) == 0;
                consumed += evfd_wait(shared, timeout_ns);
            }
            failures += holds ? 0 : 1;
        });
    all.clear();
    CHECK(failures == 0);
    CHECK(consumed == threads * rounds);
    for (int i = 0; i < threads * rounds; ++i)
        REQUIRE(evfd_wait(shared, 0) == 1);
    expect_error(evfd_wait(shared, 0), ETIMEDOUT);
    CHECK(evfd_close(shared) == 0);
}

TEST_CASE("evfd_error() returns the message of the calling thread's last failure")
{
    const ConnectedDaemon daemon;
    expect_error(evfd_open("missing", 0, 0, 0), ENOENT);
    const std::string own_message = evfd_error();
    std::string initial = "?";
    std::string other_message;
    std::thread{[&] {
        initial = evfd_error();
        expect_error(evfd_set(-1), EBADF);
        other_message = evfd_error();
    }}.join();
    CHECK(initial.empty());
    CHECK(other_message.contains("-1"));
    CHECK(own_message.contains("missing"));
    CHECK(evfd_error() == own_message);
    // A message that quotes a long argument is truncated.
    expect_error(evfd_open(std::string(100'000, 'x').c_str(), 0, 0, 0), EINVAL);
    CHECK(std::string_view{evfd_error()}.size() < 2'000);
}

TEST_CASE("a thread cancelled in a wait ends after the wait and leaves no lock")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO));
    pthread_t thread{};
    const auto wait = [](void* argument) -> void* {
        auto& number = *static_cast<int*>(argument);
        number = static_cast<int>(evfd_wait(number, EVFD_FOREVER));
        ::pthread_testcancel();
        return nullptr;
    };
    int argument = fd;
    REQUIRE(::pthread_create(&thread, nullptr, wait, &argument) == 0);
    REQUIRE(poll_until([] { return threads_of(::getpid()).size() > 1; }));
    REQUIRE(::pthread_cancel(thread) == 0);
    CHECK(evfd_set(fd) == 0);
    void* ended = nullptr;
    REQUIRE(::pthread_join(thread, &ended) == 0);
    CHECK(argument == 1);
    // If the cancelled thread still held a lock of the library, this call would block.
    CHECK(evfd_open("e", 0, 0, 0) >= 0);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("functions that need not block are not cancellation points")
{
    const ConnectedDaemon daemon;
    int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO));
    pthread_t thread{};
    const auto work = [](void* argument) -> void* {
        auto& number = *static_cast<int*>(argument);
        const int e = std::exchange(number, -1);
        ::pthread_cancel(::pthread_self());
        if (evfd_set(e) == 0 && evfd_is_set(e) == 1 && evfd_wait(e, 0) == 1 && evfd_clear(e) == 0)
            number = e;
        ::pthread_testcancel();
        return nullptr;
    };
    const int before = fd;
    REQUIRE(::pthread_create(&thread, nullptr, work, &fd) == 0);
    void* ended = nullptr;
    REQUIRE(::pthread_join(thread, &ended) == 0);
    CHECK(ended == PTHREAD_CANCELED);
    CHECK(fd == before);
    CHECK(evfd_close(before) == 0);
}

TEST_CASE("a child of fork can use its parent's descriptors and open its own")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_PULSE);
    const int request = create_event("request", mode);
    const int reply = create_event("reply", EVFD_AUTO);
    Worker child{[&](const WorkerSocket& socket) {
        socket.send(0);
        ok(evfd_wait(request, timeout_ns));
        ok(evfd_set(reply));
        socket.receive();
        const int own = create_event("own", EVFD_PULSE);
        ok(evfd_set(own));
        require(ok(evfd_wait(own, timeout_ns)) == 1, "the child's own pulse did not arrive");
        ok(evfd_close(request));
        expect_error(evfd_wait(request, 0), EBADF);
        socket.send(0);
        socket.receive();
    }};
    child.receive();
    CHECK(evfd_set(request) == 0);
    CHECK(evfd_wait(reply, timeout_ns) == 1);
    child.send(0);
    child.receive();
    CHECK(value_or_throw(daemon.client().show("own")).subscribers == 1);
    // The child has closed its duplicate of the descriptor `request`. The parent's descriptor still
    // works.
    CHECK(evfd_clear(request) == 0);
    CHECK(evfd_set(request) == 0);
    CHECK(evfd_wait(request, timeout_ns) == 1);
    child.send(0);
    CHECK(child.wait() == 0);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().show("own")).subscribers == 0; }));
    CHECK(evfd_close(request) == 0);
    CHECK(evfd_close(reply) == 0);
}

TEST_CASE("temporary objects end with their process though a child of it lives on")
{
    const DaemonProcess daemon;
    const OrphanProcess orphan{[&] {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("mine", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
    }};
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 0; }));
}

TEST_CASE("children forked while threads use the library can use it, too")
{
    const ConnectedDaemon daemon;
    const int shared = create_event("shared");
    std::atomic<bool> is_over = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&, name = "e/" + std::to_string(i)] {
            while (!is_over) {
                const int own = create_event(name.c_str(), EVFD_AUTO, 1);
                for (const int* fd : {&own, &shared})
                    if (evfd_wait_any(fd, 1, 0, nullptr) < 0 && errno != ETIMEDOUT)
                        require(false, evfd_error());
                ok(evfd_close(own));
            }
        });
    for (int i = 0; i < 20; ++i) {
        Worker child{[&](const WorkerSocket&) {
            expect_error(evfd_wait(shared, 1), ETIMEDOUT);
            const int own = create_event("child", EVFD_AUTO);
            ok(evfd_set(own));
            require(ok(evfd_wait_any(&own, 1, timeout_ns, nullptr)) == 0,
                    "the wait returned another event");
            ok(evfd_close(own));
            ok(evfd_close(shared));
        }};
        CHECK(child.wait() == 0);
    }
    is_over = true;
    threads.clear();
    CHECK(evfd_close(shared) == 0);
}

TEST_CASE("descriptors stay usable and waits continue when the daemon is killed and restarted")
{
    ConnectedDaemon<SupervisedDaemon> daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    const int event = create_event("event", EVFD_AUTO);
    const evfd_schedule often = ScheduleSpec{.interval_ns = 1'000'000};
    ok(evfd_arm_name("tick", &often, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    std::int64_t consumed = 0;
    std::thread by_name{[&] { consumed = evfd_wait_name("event", timeout_ns); }};
    REQUIRE(daemon.has_waits("event", 1));

    daemon.kill_daemon();
    ok(evfd_wait(tick, timeout_ns));
    // evfd_set() of a pulse makes a call to the daemon. The supervisor has started a new daemon,
    // which answers the call.
    CHECK(evfd_set(pulse) == 0);
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    CHECK(evfd_set(event) == 0);
    by_name.join();
    CHECK(consumed == 1);
    expect_error(evfd_wait(event, 0), ETIMEDOUT);
    const int late = create_event("late");
    CHECK(evfd_is_set_name("late") == 0);
    for (const int fd : {pulse, event, tick, late})
        CHECK(evfd_close(fd) == 0);
    CHECK(
        poll_until([&] { return value_or_throw(daemon.client().show("pulse")).subscribers == 0; }));
}

TEST_CASE("a kill during a commit loses nothing of a program")
{
    const ConnectedDaemon<SupervisedDaemon> daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    // create_event() sends two calls to the daemon: one creates the event, and one opens it.
    const int mine = create_event("mine", EVFD_TEMPORARY);

    daemon.stop_daemon();
    begin_next_commit(daemon.pid());
    daemon.kill_daemon();
    REQUIRE(poll_until(
        [&] { return value_or_throw(daemon.client().status()).orphaned_sessions == 0; }));

    CHECK(evfd_set_name("mine") == 0);
    CHECK(evfd_is_set(mine) == 1);
    CHECK(evfd_set_name("pulse") == 0);
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    for (const int fd : {pulse, mine})
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE(
    "a call in progress fails when the daemon loses its state, and later calls work as before")
{
    ConnectedDaemon daemon;
    const int fd = create_event("e");
    // Stops the daemon, so that the next call stays unanswered until the daemon is killed.
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    int returned = 0;
    std::thread caller{[&] { returned = evfd_delete("e"); }};
    REQUIRE(poll_until([&] {
        for (const auto thread : threads_of(::getpid()))
            if (thread != ::getpid() && is_blocked_in(::getpid(), thread, SYS_ppoll))
                return true;
        return false;
    }));
    daemon.kill();
    daemon.restart();
    caller.join();
    CHECK((returned == -ECONNRESET || returned == -ENOENT));
    expect_error(evfd_set_name("e"), ENOENT);
    // The daemon has lost the event "e", but the program's descriptor still works, because a set
    // and a wait by descriptor need no daemon.
    CHECK(evfd_set(fd) == 0);
    CHECK(evfd_wait(fd, 0) == 1);
    CHECK(evfd_close(fd) == 0);
    CHECK(evfd_close(create_event("e")) == 0);
}

TEST_CASE("functions that need the daemon fail while it is down, and the others work")
{
    ConnectedDaemon daemon;
    const int fd = create_event("e", EVFD_AUTO);
    Worker other{[&](const WorkerSocket& socket) {
        // Waits until the test has killed the daemon. evfd_connect() fails at once, because the
        // library waits for the restart of a daemon only if it was connected before.
        socket.receive();
        ::setenv("EVFDD_SOCKET", daemon.path().c_str(), 1);
        expect_error(evfd_connect(nullptr), ECONNREFUSED);
        expect_error(evfd_connect(daemon.path().c_str()), ECONNREFUSED);
        ok(evfd_set(fd));
    }};
    daemon.kill();
    other.send(0);
    CHECK(other.wait() == 0);
    CHECK(evfd_wait(fd, timeout_ns) == 1);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
