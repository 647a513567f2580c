// Tests that a set of a manual event releases all current waiters, even if the event is cleared at
// once.
#include "tests/support/daemon_process.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>

namespace evfd::e2e {
namespace {

constexpr int processes = 5;
constexpr int threads_each = 10;
constexpr std::uint64_t waiters = processes * threads_each;
constexpr int rounds = 1'000;

struct Eventfd {
    explicit Eventfd(int flags) : fd{::eventfd(0, EFD_CLOEXEC | flags)} {}
    void add(std::uint64_t number) const
    {
        require(::write(fd.get(), &number, sizeof number) == sizeof number, "eventfd");
    }
    std::uint64_t read() const
    {
        require(await_readable(fd.get()), "not all waiters were released");
        std::uint64_t number = 0;
        require(::read(fd.get(), &number, sizeof number) == sizeof number, "eventfd");
        return number;
    }
    UniqueFd fd;
};

// Runs ten threads. In each round, every thread adds 1 to `arrivals`, waits for the event, and adds
// 1 to `releases`. The test starts each round and sets the event.
void wait_in_threads(const DaemonProcess& daemon, const WorkerSocket& parent,
                     const Eventfd& arrivals, const Eventfd& releases)
{
    become_unprivileged();
    const auto client = daemon.client();
    const auto event = value_or_throw(client.open("pass"));
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<Eventfd>> starts;
    std::atomic<int> failures = 0;
    for (int i = 0; i < threads_each; ++i) {
        const auto& go = *starts.emplace_back(std::make_unique<Eventfd>(EFD_SEMAPHORE));
        threads.emplace_back([&] {
            parent.send(static_cast<std::uint64_t>(::gettid()));
            try {
                for (int round = 0; round < rounds; ++round) {
                    go.read();
                    arrivals.add(1);
                    require(value_or_throw(event.wait(2 * default_timeout)) == 1,
                            "a waiter was not released");
                    releases.add(1);
                }
            } catch (const std::exception& error) {
                std::fprintf(stderr, "%s\n", error.what());
                ++failures;
            }
        });
    }
    for (int round = 0; round < rounds; ++round) {
        parent.receive();
        for (const auto& start : starts)
            start->add(1);
    }
    for (auto& thread : threads)
        thread.join();
    require(failures == 0, "waiters were not released");
}

// Waits until all threads block in io_getevents(2). Throws if a thread stays in another system
// call. The library waits in io_getevents(2), because a wait in poll(2) could miss a set that is
// followed at once by a clear.
void await_all_blocked(const std::vector<std::unique_ptr<Worker>>& workers,
                       const std::vector<std::vector<pid_t>>& threads)
{
    for (std::size_t i = 0; i < workers.size(); ++i)
        for (const auto thread : threads[i]) {
            const auto pid = workers[i]->process().pid();
            if (!poll_until([&] { return is_blocked_in(pid, thread, SYS_io_getevents); }))
                throw std::runtime_error{"a waiter is in system call " +
                                         system_call_of(pid, thread)};
        }
}

TEST_CASE("set and clear back to back release 50 waiters in five processes, 1,000 times")
{
    REQUIRE(supports_latched_wait());
    // With 0666 the waiters are also allowed to set the event, so they get the eventfd itself. With
    // 0644 they are only allowed to wait, so they get a wait-only descriptor.
    const auto permissions = GENERATE("0666"s, "0644"s);
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("pass", {.permissions = Permissions::parse("0666")}));
    const auto event = value_or_throw(client.open("pass"));
    // The event gets the permissions 0444, and not 0644. The unprivileged user that waits can be
    // the owner of the event, and the permissions 0644 would allow the owner to set the event.
    if (permissions != "0666")
        REQUIRE(client.set_permissions("pass", *Permissions::parse("0444")));
    const Eventfd arrivals{EFD_SEMAPHORE};
    const Eventfd releases{EFD_SEMAPHORE};
    std::vector<std::unique_ptr<Worker>> workers;
    std::vector<std::vector<pid_t>> threads;
    for (int i = 0; i < processes; ++i)
        workers.push_back(std::make_unique<Worker>([&](const WorkerSocket& parent) {
            wait_in_threads(daemon, parent, arrivals, releases);
        }));
    for (const auto& worker : workers) {
        auto& thread_ids = threads.emplace_back();
        for (int i = 0; i < threads_each; ++i)
            thread_ids.push_back(static_cast<pid_t>(worker->receive()));
    }

    for (int round = 0; round < rounds; ++round) {
        for (const auto& worker : workers)
            worker->send(0);
        for (std::uint64_t i = 0; i < waiters; ++i)
            arrivals.read();
        await_all_blocked(workers, threads);
        value_or_throw(event.set());
        value_or_throw(event.clear());
        for (std::uint64_t i = 0; i < waiters; ++i)
            releases.read();
    }

    for (const auto& worker : workers)
        CHECK(worker->wait() == 0);
}

TEST_CASE("set and clear back to back release all waiters through the daemon each time")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("pass"));
    const auto event = value_or_throw(client.open("pass"));
    std::vector<WireClient> waiting;
    for (std::uint64_t i = 0; i < waiters; ++i)
        waiting.emplace_back(daemon.path());
    WireClient caller{daemon.path()};
    const bool is_remote = GENERATE(false, true);

    for (int round = 0; round < 50; ++round) {
        for (const auto& wire : waiting)
            wire.call("Wait", {{"items", items({"pass"})}});
        REQUIRE(daemon.has_waits("pass", waiters));
        // Sends the clear before reading the reply to the set, so that the two calls arrive
        // together.
        if (is_remote) {
            caller.call("Set", {{"items", items({"pass"})}});
            caller.call("Clear", {{"items", items({"pass"})}});
            REQUIRE_FALSE(caller.reply().contains("error"));
            REQUIRE_FALSE(caller.reply().contains("error"));
        } else {
            value_or_throw(event.set());
            value_or_throw(event.clear());
        }
        for (auto& wire : waiting)
            REQUIRE(wire.reply()["parameters"]["fired"][0]["name"] == "pass");
    }
    CHECK_FALSE(value_or_throw(event.is_set()));
}

} // namespace
} // namespace evfd::e2e
