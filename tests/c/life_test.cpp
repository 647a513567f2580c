// evfd.h with many threads, after fork(2), and with a daemon that is killed.
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

TEST_CASE("threads open, set, wait for and close what each has, and what they share")
{
    const ConnectedDaemon daemon;
    const int shared = create_event("shared", EVFD_SEMAPHORE);
    constexpr int threads = 8;
    constexpr int rounds = 50;
    std::atomic<int> failures = 0;
    std::atomic<std::int64_t> taken = 0;
    std::vector<std::jthread> all;
    for (int i = 0; i < threads; ++i)
        all.emplace_back([&, name = "e/" + std::to_string(i)] {
            bool holds = true;
            for (int round = 0; round < rounds && holds; ++round) {
                const int own = evfd_open(name.c_str(), EVFD_CREATE | EVFD_AUTO, 0666, 0);
                holds = own >= 0 && evfd_set(own) == 0 && evfd_wait(own, timeout_ns) == 1 &&
                        evfd_set_name(name.c_str()) == 0 && evfd_is_set(own) == 1 &&
                        evfd_wait_any(&own, 1, timeout_ns, nullptr) == 0 && evfd_close(own) == 0 &&
                        evfd_is_set(own) != 1;
                holds = holds && evfd_add(shared, 2) == 0;
                taken += evfd_wait(shared, timeout_ns);
            }
            failures += holds ? 0 : 1;
        });
    all.clear();
    CHECK(failures == 0);
    CHECK(taken == threads * rounds);
    for (int i = 0; i < threads * rounds; ++i)
        REQUIRE(evfd_wait(shared, 0) == 1);
    expect_error(evfd_wait(shared, 0), ETIMEDOUT);
    CHECK(evfd_close(shared) == 0);
}

TEST_CASE("each thread has the sentence of its own last failure")
{
    const ConnectedDaemon daemon;
    expect_error(evfd_open("missing", 0, 0, 0), ENOENT);
    const std::string ours = evfd_error();
    std::string at_first = "?";
    std::string theirs;
    std::thread{[&] {
        at_first = evfd_error();
        expect_error(evfd_set(-1), EBADF);
        theirs = evfd_error();
    }}.join();
    CHECK(at_first.empty());
    CHECK(theirs.contains("-1"));
    CHECK(ours.contains("missing"));
    CHECK(evfd_error() == ours);
    expect_error(evfd_open(std::string(100'000, 'x').c_str(), 0, 0, 0), EINVAL); // As much as fits.
    CHECK(std::string_view{evfd_error()}.size() < 2'000);
}

TEST_CASE("a thread that is cancelled in a wait ends with it, and takes nothing along")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO));
    pthread_t thread{};
    const auto wait = [](void* argument) -> void* {
        evfd_wait(*static_cast<int*>(argument), EVFD_FOREVER);
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
    CHECK(evfd_open("e", 0, 0, 0) >= 0); // Nothing is left locked.
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("what need not sleep is no place where a thread is cancelled")
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

TEST_CASE("a child of fork has what its parent opened and opens what it wants")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_PULSE);
    const int request = create_event("request", mode);
    const int answer = create_event("answer", EVFD_AUTO);
    Worker child{[&](const WorkerSocket& line) {
        line.send(0);
        ok(evfd_wait(request, timeout_ns));
        ok(evfd_set(answer));
        line.receive();
        const int own = create_event("own", EVFD_PULSE);
        ok(evfd_set(own));
        require(ok(evfd_wait(own, timeout_ns)) == 1, "not its own pulse");
        ok(evfd_close(request));
        expect_error(evfd_wait(request, 0), EBADF);
        line.send(0);
        line.receive();
    }};
    child.receive();
    CHECK(evfd_set(request) == 0);
    CHECK(evfd_wait(answer, timeout_ns) == 1);
    child.send(0);
    child.receive();
    CHECK(value_or_throw(daemon.client().show("own")).subscriptions == 1);
    // What the child closed is still ours.
    CHECK(evfd_clear(request) == 0);
    CHECK(evfd_set(request) == 0);
    CHECK(evfd_wait(request, timeout_ns) == 1);
    child.send(0);
    CHECK(child.wait() == 0);
    CHECK(
        poll_until([&] { return value_or_throw(daemon.client().show("own")).subscriptions == 0; }));
    CHECK(evfd_close(request) == 0);
    CHECK(evfd_close(answer) == 0);
}

TEST_CASE("what is temporary goes with its maker though a child lives that never calls the library")
{
    const DaemonProcess daemon;
    const OrphanProcess orphaned{[&] {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("mine", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
    }};
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 0; }));
}

TEST_CASE("children that are forked while threads are at it can do all, too")
{
    const ConnectedDaemon daemon;
    const int shared = create_event("shared");
    std::atomic<bool> is_over = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i)
        threads.emplace_back([&, name = "e/" + std::to_string(i)] {
            while (!is_over) {
                const int own = create_event(name.c_str(), EVFD_AUTO, 1);
                (void)evfd_wait_any(&own, 1, 0, nullptr);
                (void)evfd_wait_any(&shared, 1, 0, nullptr);
                ok(evfd_close(own));
            }
        });
    for (int i = 0; i < 20; ++i) {
        Worker child{[&](const WorkerSocket&) {
            expect_error(evfd_wait(shared, 1), ETIMEDOUT);
            const int own = create_event("child", EVFD_AUTO);
            ok(evfd_set(own));
            require(ok(evfd_wait_any(&own, 1, timeout_ns, nullptr)) == 0, "not its own");
            ok(evfd_close(own));
            ok(evfd_close(shared));
        }};
        CHECK(child.wait() == 0);
    }
    is_over = true;
    threads.clear();
    CHECK(evfd_close(shared) == 0);
}

TEST_CASE("what is open goes on, and waits go on, when the daemon is killed and comes again")
{
    ConnectedDaemon<SupervisedDaemon> daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    const int event = create_event("event", EVFD_AUTO);
    const evfd_schedule often = ScheduleSpec{.interval_ns = 1'000'000};
    ok(evfd_arm_name("tick", &often, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    std::int64_t taken = 0;
    std::thread by_name{[&] { taken = evfd_wait_name("event", timeout_ns); }};
    REQUIRE(daemon.has_waits("event", 1));

    daemon.kill_daemon();
    ok(evfd_wait(tick, timeout_ns));
    CHECK(evfd_set(pulse) == 0); // Through the daemon that comes after.
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    CHECK(evfd_set(event) == 0);
    by_name.join();
    CHECK(taken == 1);
    expect_error(evfd_wait(event, 0), ETIMEDOUT);
    const int late = create_event("late");
    CHECK(evfd_is_set_name("late") == 0);
    for (const int fd : {pulse, event, tick, late})
        CHECK(evfd_close(fd) == 0);
    CHECK(poll_until(
        [&] { return value_or_throw(daemon.client().show("pulse")).subscriptions == 0; }));
}

TEST_CASE("a kill in the midst of a commit costs a program nothing")
{
    const ConnectedDaemon<SupervisedDaemon> daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    const int mine = create_event("mine", EVFD_TEMPORARY); // Makes it, and then opens it.

    daemon.stop_daemon();
    begin_next_commit(daemon.pid());
    daemon.kill_daemon();
    REQUIRE(poll_until(
        [&] { return value_or_throw(daemon.client().status()).waits_for_sessions == 0; }));

    CHECK(evfd_set_name("mine") == 0);
    CHECK(evfd_is_set(mine) == 1);
    CHECK(evfd_set_name("pulse") == 0);
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    for (const int fd : {pulse, mine})
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE(
    "with a daemon that lost all, what was under way is an error, and then all is as at first")
{
    ConnectedDaemon daemon;
    const int fd = create_event("e");
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0); // It has the call, and will never read it.
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
    CHECK(evfd_set(fd) == 0); // The descriptor is what it was.
    CHECK(evfd_wait(fd, 0) == 1);
    CHECK(evfd_close(fd) == 0);
    CHECK(evfd_close(create_event("e")) == 0);
}

TEST_CASE("a daemon that is gone is an error for what needs it, and for nothing else")
{
    ConnectedDaemon daemon;
    const int fd = create_event("e", EVFD_AUTO);
    Worker other{[&](const WorkerSocket& line) {
        line.receive(); // What was never connected does not wait for it.
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
