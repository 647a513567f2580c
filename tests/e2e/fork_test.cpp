// What a child of fork(2) has of its parent's client, and what it has not.
#include "tests/support/daemon_process.h"
#include "tests/support/orphan_process.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <thread>

namespace evfd::e2e {
namespace {

TEST_CASE("a child of fork has its own line and its parent's goes on over kills")
{
    const Guarded guarded;
    const auto client = guarded.client();
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    REQUIRE(client.create("mine", {.lifetime = Lifetime::connection}));
    const auto pulse = must(client.open("pulse"));
    Worker child{[&](const Line& line) {
        for (int i = 0; i < 3; ++i) {
            line.hear();
            must(client.status());
            const auto its = must(client.open("pulse"));
            line.say(0);
            require(must(its.wait(patience)) == 1, "no pulse");
            line.say(0);
        }
    }};
    for (int i = 0; i < 3; ++i) {
        guarded.kill_daemon();
        child.say(0);
        child.hear();
        must(client.set(std::vector{"pulse"s}));
        child.hear();
        CHECK(must(pulse.wait(patience)) == 1);
    }
    CHECK(child.wait() == 0);
    CHECK(guarded.ctl({"show", "mine"}).status == 0);
}

// The thread of the library holds what it needs for that just then.
TEST_CASE("a child that is forked while the library connects anew is not held up")
{
    const Guarded guarded;
    const auto client = guarded.client();
    REQUIRE(client.create("pulse", {.mode = Mode::pulse}));
    const auto pulse = must(client.open("pulse"));
    const auto first = threads_of(::getpid());
    // The guard holds the socket, but starts nobody: who connects waits for an answer.
    REQUIRE(::kill(guarded.pid(), SIGSTOP) == 0);
    const auto daemon = guarded.daemon();
    const auto gone = pidfd_of(daemon);
    ::kill(daemon, SIGKILL);
    REQUIRE(await_readable(gone.get()));
    REQUIRE(eventually([&] {
        for (const auto thread : first)
            if (thread != ::getpid() && sleeps_in(::getpid(), thread, SYS_ppoll))
                return true;
        return false;
    }));
    Worker child{[&](const Line& line) {
        line.say(0);
        must(client.status());
        line.say(0);
    }};
    child.hear();
    REQUIRE(::kill(guarded.pid(), SIGCONT) == 0);
    child.hear();
    CHECK(child.wait() == 0);
    CHECK(client.status());
}

TEST_CASE("what lasts as long as its maker goes with it though a child of it lives")
{
    const Daemon daemon;
    Worker maker{[&](const Line& line) {
        const auto client = daemon.client();
        must(client.create("mine", {.lifetime = Lifetime::connection}));
        require(eventually([] { // The library's thread, which looks after the line by now.
                    return std::ranges::any_of(threads_of(::getpid()), [](pid_t thread) {
                        return thread != ::getpid() && sleeps_in(::getpid(), thread, SYS_poll);
                    });
                }),
                "nobody looks after it");
        const auto child = ::fork();
        require(child >= 0, "fork(2)");
        if (child == 0) { // It outlives its parent, and ends with our end of the line.
            must(client.status());
            line.say(0);
            await_readable(line.fd().get());
            ::_exit(EXIT_SUCCESS);
        }
        ::pause();
    }};
    maker.hear();
    CHECK(daemon.ctl({"show", "mine"}).status == 0);

    maker.process().signal(SIGKILL);
    maker.wait();

    CHECK(eventually([&] { return daemon.ctl({"show", "mine"}).status == 3; }));
}

TEST_CASE("what lasts as long as its maker goes with it though a child lives that never calls us")
{
    const Daemon daemon;
    std::optional<Client> client;
    const Orphaned child{[&] {
        client.emplace(daemon.client());
        must(client->create("mine", {.lifetime = Lifetime::connection}));
    }};
    CHECK(eventually([&] { return daemon.ctl({"show", "mine"}).status == 3; }));
}

TEST_CASE("nothing is taken for a dead thread's wait though a child of its process lives")
{
    const Daemon daemon;
    daemon.done({"create", "s", "--mode", "semaphore"});
    std::optional<Client> client;
    std::optional<std::jthread> waiter;
    const Orphaned child{[&] {
        client.emplace(daemon.client());
        waiter.emplace([&] { (void)client->wait(std::vector{"s"s}); });
        require(daemon.has_waits("s", 1), "nobody waits");
    }};
    CHECK(daemon.has_waits("s", 0));
    daemon.done({"set", "s"});
    CHECK(must(daemon.client().show("s")).count == 1);
}

TEST_CASE("a client that its parent left behind can be destroyed while others are at work")
{
    const Daemon daemon;
    std::optional<Client> client{daemon.client()};
    must(client->create("mine", {.lifetime = Lifetime::connection})); // Now it has a thread.
    Worker child{[&](const Line&) {
        // The first thread here may well be known by what was the number of that one.
        const auto [reads, writes] = make_pipe();
        std::thread own{[&] { await_readable(reads.get()); }};
        client.reset();
        require(::write(writes.get(), "", 1) == 1, "write(2)");
        own.join(); // Throws if it is nobody's any more.
    }};
    CHECK(child.wait() == 0);
    CHECK(must(client->show("mine")).name.text() == "mine");
}

} // namespace
} // namespace evfd::e2e
