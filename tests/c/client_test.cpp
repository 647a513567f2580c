// Tests of evfd.h: clients, with which a program uses several daemons.
#include "tests/c/fixture.h"

#include <thread>
#include <vector>

namespace evfd::e2e {
namespace {

evfd_client* client_of(const DaemonProcess& daemon)
{
    evfd_client* client = nullptr;
    ok(evfd_client_new(&client, daemon.path().c_str()));
    return client;
}

TEST_CASE("two clients use two daemons, and NULL is the default client")
{
    const ConnectedDaemon usual;
    const DaemonProcess one;
    const DaemonProcess other;
    evfd_client* const first = client_of(one);
    evfd_client* const second = client_of(other);
    const int jobs =
        ok(evfd_client_open(first, "e", EVFD_CREATE | EVFD_EXCL | EVFD_SEMAPHORE, 0666, 0));
    const int done = ok(evfd_client_open(second, "e", EVFD_CREATE | EVFD_EXCL, 0666, 0));
    expect_error(evfd_client_set(nullptr, "e"), ENOENT);
    expect_error(evfd_set_name("e"), ENOENT);

    ok(evfd_client_add(first, "e", 2));
    CHECK(evfd_client_is_set(first, "e") == 1);
    CHECK(evfd_client_is_set(second, "e") == 0);
    CHECK(evfd_wait(jobs, 0) == 1);
    CHECK(evfd_client_wait(first, "e", timeout_ns) == 1);
    expect_error(evfd_client_wait(first, "e", 0), ETIMEDOUT);
    ok(evfd_client_set(second, "e"));
    const int fds[] = {jobs, done};
    CHECK(evfd_wait_any(fds, 2, timeout_ns, nullptr) == 1);
    ok(evfd_client_clear(second, "e"));
    CHECK(evfd_is_set(done) == 0);

    const int fd = ok(evfd_client_open(nullptr, "e", EVFD_CREATE, 0666, 0));
    ok(evfd_set_name("e"));
    CHECK(evfd_is_set(fd) == 1);
    CHECK(evfd_is_set(done) == 0);
    for (const int opened : {jobs, done, fd})
        CHECK(evfd_close(opened) == 0);
    CHECK(evfd_client_unref(first) == 0);
    CHECK(evfd_client_unref(second) == 0);
}

TEST_CASE("descriptors and calls of a client continue after its release")
{
    const ConnectedDaemon usual;
    const DaemonProcess daemon;
    evfd_client* const client = client_of(daemon);
    const int pulse = ok(evfd_client_open(client, "pulse", EVFD_CREATE | EVFD_PULSE, 0666, 0));
    std::int64_t consumed = 0;
    std::thread waiter{[&] { consumed = evfd_client_wait(client, "later", timeout_ns); }};
    REQUIRE(daemon.has_waits("later", 1));
    CHECK(evfd_client_unref(client) == 0);

    CHECK(evfd_set(pulse) == 0);
    CHECK(evfd_wait(pulse, timeout_ns) == 1);
    value_or_throw(daemon.client().create("later", {.initial = 1}));
    waiter.join();
    CHECK(consumed == 1);
    CHECK(evfd_close(pulse) == 0);
    // The connection that remains is the one that asks.
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).connections == 1; }));
}

TEST_CASE("a temporary event of a client ends after the client and its descriptors")
{
    const ConnectedDaemon usual;
    const DaemonProcess daemon;
    evfd_client* const client = client_of(daemon);
    const int fd = ok(evfd_client_open(client, "e", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
    CHECK(evfd_client_unref(client) == 0);
    CHECK(value_or_throw(daemon.client().status()).objects == 1);
    CHECK(evfd_close(fd) == 0);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 0; }));
}

TEST_CASE("a released client is refused by every function")
{
    const ConnectedDaemon daemon;
    evfd_client* const client = client_of(daemon);
    CHECK(evfd_client_unref(client) == 0);
    CHECK(evfd_client_unref(nullptr) == 0);
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
    const char* const name = "e";
    expect_error(evfd_client_unref(client), EINVAL);
    expect_error(evfd_client_open(client, name, 0, 0, 0), EINVAL);
    expect_error(evfd_client_open(client, name, EVFD_CREATE, 0666, 0), EINVAL);
    expect_error(evfd_client_delete(client, name), EINVAL);
    expect_error(evfd_client_set_permissions(client, name, 0666), EINVAL);
    expect_error(evfd_client_set(client, name), EINVAL);
    expect_error(evfd_client_add(client, name, 1), EINVAL);
    expect_error(evfd_client_set_oneway(client, name), EINVAL);
    expect_error(evfd_client_add_oneway(client, name, 1), EINVAL);
    expect_error(evfd_client_clear(client, name), EINVAL);
    expect_error(evfd_client_is_set(client, name), EINVAL);
    expect_error(evfd_client_wait(client, name, 0), EINVAL);
    expect_error(evfd_client_wait_any(client, &name, 1, 0, nullptr), EINVAL);
    expect_error(evfd_client_wait_all(client, &name, 1, 0), EINVAL);
    expect_error(evfd_client_arm(client, name, &late, 0, 0666), EINVAL);
    expect_error(evfd_client_disarm(client, name), EINVAL);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

TEST_CASE("a released client is not taken for a client that is made later")
{
    const ConnectedDaemon daemon;
    std::vector<evfd_client*> released;
    for (int round = 0; round < 10; ++round) {
        evfd_client* const client = client_of(daemon);
        for (auto* const earlier : released) {
            expect_error(evfd_client_is_set(earlier, "e"), EINVAL);
            expect_error(evfd_client_unref(earlier), EINVAL);
        }
        expect_error(evfd_client_is_set(client, "e"), ENOENT);
        CHECK(evfd_client_unref(client) == 0);
        released.push_back(client);
    }
}

TEST_CASE("a client that cannot be made is NULL, and the functions of a client check their names")
{
    const ConnectedDaemon daemon;
    evfd_client* const client = client_of(daemon);
    for (const std::string& path : {daemon.directory() / "missing", std::string(200, 'x')}) {
        evfd_client* made = client;
        expect_error(evfd_client_new(&made, path.c_str()), ECONNREFUSED);
        CHECK(made == nullptr);
    }
    expect_error(evfd_client_new(nullptr, nullptr), EINVAL);
    for (const char* const bad : {static_cast<const char*>(nullptr), "a//b"}) {
        expect_error(evfd_client_open(client, bad, EVFD_CREATE, 0666, 0), EINVAL);
        expect_error(evfd_client_delete(client, bad), EINVAL);
        expect_error(evfd_client_set(client, bad), EINVAL);
        expect_error(evfd_client_wait(client, bad, 0), EINVAL);
        expect_error(evfd_client_disarm(client, bad), EINVAL);
    }
    expect_error(evfd_client_wait_any(client, nullptr, 1, 0, nullptr), EINVAL);
    expect_error(evfd_client_arm(client, "tick", nullptr, 0, 0666), EINVAL);
    CHECK(evfd_client_unref(client) == 0);
}

TEST_CASE("a child of fork can use and release its parent's clients")
{
    const ConnectedDaemon usual;
    const DaemonProcess daemon;
    evfd_client* const client = client_of(daemon);
    const int fd = ok(evfd_client_open(client, "e", EVFD_CREATE | EVFD_SEMAPHORE, 0666, 0));
    Worker child{[&](const WorkerSocket&) {
        ok(evfd_client_add(client, "e", 2));
        require(ok(evfd_client_wait(client, "e", timeout_ns)) == 1, "no token");
        ok(evfd_client_unref(client));
        expect_error(evfd_client_set(client, "e"), EINVAL);
        ok(evfd_close(fd));
    }};
    CHECK(child.wait() == 0);
    CHECK(evfd_client_wait(client, "e", timeout_ns) == 1);
    CHECK(evfd_close(fd) == 0);
    CHECK(evfd_client_unref(client) == 0);
}

TEST_CASE("threads can make, use and release clients at the same time")
{
    const ConnectedDaemon daemon;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, name = "e/" + std::to_string(i)] {
            for (int round = 0; round < 10; ++round) {
                evfd_client* const client = client_of(daemon);
                const int fd = ok(evfd_client_open(client, name.c_str(), EVFD_CREATE, 0666, 0));
                ok(evfd_client_set(client, name.c_str()));
                require(ok(evfd_is_set(fd)) == 1, "not set");
                ok(evfd_client_unref(client));
                ok(evfd_close(fd));
                ok(evfd_delete(name.c_str()));
            }
        });
    threads.clear();
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

} // namespace
} // namespace evfd::e2e
