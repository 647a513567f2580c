// Tests of objects that a program creates with the library and that end with the process.
#include "tests/support/daemon_process.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

bool is_deleted(const DaemonProcess& daemon, const std::string& name)
{
    return poll_until([&] { return daemon.ctl({"show", name}).status == 3; });
}

TEST_CASE("an object of a process survives its connections, kills of the daemon and execve")
{
    const SupervisedDaemon supervised;
    const auto client = supervised.client();
    Worker worker{[&](const WorkerSocket& parent) {
        {
            const auto worker_client = supervised.client();
            value_or_throw(worker_client.create("e", {.lifetime = Lifetime::process}));
            value_or_throw(worker_client.arm("t", {.after = 1h}, {.lifetime = Lifetime::process}));
        }
        parent.send(1);
        parent.receive();
        ::execl("/bin/sleep", "sleep", "600", static_cast<char*>(nullptr));
        ::_exit(1);
    }};
    worker.receive();
    for (int i = 0; i < 2; ++i) {
        supervised.kill_daemon();
        CHECK(value_or_throw(client.show("e")).lifetime == Lifetime::process);
        CHECK(value_or_throw(client.show("t")).lifetime == Lifetime::process);
    }
    worker.send(1);
    const auto comm = fmt::format("/proc/{}/comm", worker.process().pid());
    REQUIRE(poll_until([&] { return read_file(comm) == "sleep\n"; }));
    CHECK(value_or_throw(client.show("e")).lifetime == Lifetime::process);
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_deleted(supervised, "e"));
    CHECK(is_deleted(supervised, "t"));
}

TEST_CASE("an object of a process that exits without a daemon is deleted by the next daemon")
{
    const SupervisedDaemon supervised;
    Worker worker{[&](const WorkerSocket& parent) {
        value_or_throw(supervised.client().create("e", {.lifetime = Lifetime::process}));
        parent.send(1);
        parent.receive();
    }};
    worker.receive();
    supervised.kill_daemon();
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_deleted(supervised, "e"));
}

TEST_CASE("a child of fork(2) does not keep the objects of its parent alive")
{
    const DaemonProcess daemon;
    Worker worker{[&](const WorkerSocket& parent) {
        value_or_throw(daemon.client().create("e", {.lifetime = Lifetime::process}));
        if (::fork() == 0) {
            parent.send(static_cast<std::uint64_t>(::getpid()));
            parent.receive();
            ::_exit(0);
        }
        ::pause();
    }};
    const auto child = static_cast<pid_t>(worker.receive());
    worker.process().signal(SIGKILL);
    CHECK(worker.wait() == -SIGKILL);
    CHECK(is_deleted(daemon, "e"));
    CHECK(::kill(child, 0) == 0);
    worker.send(1);
}

} // namespace
} // namespace evfd::e2e
