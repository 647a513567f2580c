// Objects that end with the process that made them, as the library makes them.
#include "tests/support/daemon_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

bool is_gone(const Daemon& daemon, const std::string& name)
{
    return eventually([&] { return daemon.ctl({"show", name}).status == 3; });
}

TEST_CASE(
    "an object of a process outlives connections, daemons and execve, and ends with the process")
{
    const Guarded guarded;
    const auto client = guarded.client();
    Worker worker{[&](const Line& line) {
        {
            const auto its = guarded.client();
            must(its.create("e", {.lifetime = Lifetime::process}));
            must(its.arm("t", {.after = 1h}, {.lifetime = Lifetime::process}));
        }
        line.say(1);
        line.hear();
        ::execl("/bin/sleep", "sleep", "600", static_cast<char*>(nullptr));
        ::_exit(1);
    }};
    worker.hear();
    for (int i = 0; i < 2; ++i) {
        guarded.kill_daemon();
        CHECK(must(client.show("e")).lifetime == Lifetime::process);
        CHECK(must(client.show("t")).lifetime == Lifetime::process);
    }
    worker.say(1);
    const auto comm = fmt::format("/proc/{}/comm", worker.process().pid());
    REQUIRE(eventually([&] { return read_file(comm) == "sleep\n"; }));
    CHECK(must(client.show("e")).lifetime == Lifetime::process);
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_gone(guarded, "e"));
    CHECK(is_gone(guarded, "t"));
}

TEST_CASE("an object of a process that ends while there is no daemon is gone when there is one")
{
    const Guarded guarded;
    Worker worker{[&](const Line& line) {
        must(guarded.client().create("e", {.lifetime = Lifetime::process}));
        line.say(1);
        line.hear();
    }};
    worker.hear();
    guarded.kill_daemon();
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_gone(guarded, "e"));
}

TEST_CASE("a child of fork(2) does not keep what ends with its parent")
{
    const Daemon daemon;
    Worker worker{[&](const Line& line) {
        must(daemon.client().create("e", {.lifetime = Lifetime::process}));
        if (::fork() == 0) {
            line.say(static_cast<std::uint64_t>(::getpid()));
            line.hear();
            ::_exit(0);
        }
        ::pause();
    }};
    const auto child = static_cast<pid_t>(worker.hear());
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_gone(daemon, "e"));
    CHECK(::kill(child, 0) == 0);
    worker.say(1);
}

} // namespace
} // namespace evfd::e2e
