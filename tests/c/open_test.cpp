// Tests of evfd.h: creating, opening, closing and deleting events, and choosing the daemon.
#include "tests/c/fixture.h"
#include "tests/paths.h"
#include "tests/support/scripted_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <vector>

namespace evfd::e2e {
namespace {

constexpr auto both = EVFD_MAY_WAIT | EVFD_MAY_SET;

TEST_CASE("evfd_open creates an event of each mode and opens an existing one")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int created = ok(evfd_open("e", EVFD_CREATE | mode, 0666, mode == EVFD_PULSE ? 0 : 1));
    CHECK(evfd_get_mode(created) == mode);
    CHECK(evfd_get_access(created) == both);
    CHECK(evfd_is_set(created) == (mode != EVFD_PULSE));
    CHECK((::fcntl(created, F_GETFD) & FD_CLOEXEC) != 0);

    // EVFD_CREATE opens an existing event of the same mode and changes neither its permissions nor
    // its counter.
    const int again = ok(evfd_open("e", EVFD_CREATE | mode, 0600, 0));
    const int plain = ok(evfd_open("e", 0, 0, 0));
    for (const int fd : {again, plain}) {
        CHECK(evfd_get_mode(fd) == mode);
        CHECK(evfd_is_set(fd) == (mode != EVFD_PULSE));
    }
    expect_error(evfd_open("e", EVFD_CREATE | EVFD_EXCL | mode, 0666, 0), EEXIST);
    const int other = mode == EVFD_AUTO ? EVFD_MANUAL : EVFD_AUTO;
    expect_error(evfd_open("e", EVFD_CREATE | other, 0666, 0), EBUSY);
    expect_error(evfd_open("e", EVFD_CREATE | EVFD_EXCL | other, 0666, 0), EEXIST);
    for (const int fd : {created, again, plain})
        CHECK(evfd_close(fd) == 0);
    CHECK(evfd_delete("e") == 0);
    expect_error(evfd_open("e", 0, 0, 0), ENOENT);
    expect_error(evfd_delete("e"), ENOENT);
    CHECK(evfd_close(ok(evfd_open("e", EVFD_CREATE | EVFD_EXCL | mode, 0666, 0))) == 0);
}

TEST_CASE("evfd_open rejects invalid arguments with a message")
{
    const ConnectedDaemon daemon;
    expect_error(evfd_open(nullptr, 0, 0, 0), EINVAL);
    expect_error(evfd_open("a//b", 0, 0, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_AUTO, 0, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_EXCL, 0, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_CREATE | EVFD_TIMER, 0666, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_CREATE | 0x1000, 0666, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_CREATE, 01777, 0), EINVAL);
    expect_error(evfd_open("e", EVFD_CREATE, 0666, -1), EINVAL);
    expect_error(evfd_set_permissions("e", 0666), ENOENT);
    expect_error(evfd_set_permissions("e", 010000), EINVAL);
    expect_error(evfd_delete(nullptr), EINVAL);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

TEST_CASE("evfd_open refuses two modes, and a mode without EVFD_CREATE")
{
    const ConnectedDaemon daemon;
    const int first = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE, EVFD_TIMER);
    const int second = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE, EVFD_TIMER);
    if (first == second)
        return;
    expect_error(evfd_open("e", EVFD_CREATE | first | second, 0666, 0), EINVAL);
    CHECK(std::string_view{evfd_error()}.contains("give one of EVFD_MANUAL"));
    expect_error(evfd_open("e", first, 0, 0), EINVAL);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

TEST_CASE("evfd_open without a mode creates a manual event")
{
    const ConnectedDaemon daemon;
    const int fd = ok(evfd_open("e", EVFD_CREATE, 0666, 0));
    CHECK(evfd_get_mode(fd) == EVFD_MANUAL);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_open names the function that creates a timer")
{
    const ConnectedDaemon daemon;
    expect_error(evfd_open("e", EVFD_CREATE | EVFD_TIMER, 0666, 0), EINVAL);
    CHECK(std::string_view{evfd_error()}.contains("use evfd_arm_name()"));
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
    ok(evfd_arm_name("tick", &late, 0, 0666));
    expect_error(evfd_open("tick", EVFD_CREATE, 0666, 0), EBUSY);
    expect_error(evfd_open("tick", EVFD_CREATE | EVFD_EXCL, 0666, 0), EEXIST);
}

TEST_CASE("the x bits of permissions are ignored")
{
    const ConnectedDaemon daemon;
    const auto before = ::umask(0);
    const int e = ok(evfd_open("e", EVFD_CREATE, 0777, 0));
    ::umask(before);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("permissions  0666 "));
    CHECK(evfd_set_permissions("e", 0751) == 0);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("permissions  0640 "));
    CHECK(daemon.ctl({"chmod", "e", "777"}).status == 0);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("permissions  0666 "));
    CHECK(evfd_close(e) == 0);
}

TEST_CASE("the umask reduces the permissions of a new object, and not later changes")
{
    const ConnectedDaemon daemon;
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
    const auto before = ::umask(027);
    const int fd = evfd_open("e", EVFD_CREATE, 0666, 0);
    const int tick = evfd_arm_name("tick", &late, 0, 0664);
    ::umask(before);
    CHECK(ok(tick) == 1);
    const auto client = daemon.client();
    CHECK(value_or_throw(client.show("e")).permissions.text() == "0640");
    CHECK(value_or_throw(client.show("tick")).permissions.text() == "0640");
    CHECK(evfd_set_permissions("e", 0666) == 0);
    CHECK(value_or_throw(client.show("e")).permissions.text() == "0666");
    CHECK(evfd_close(ok(fd)) == 0);
}

TEST_CASE("a descriptor allows to wait or to set as the caller's permissions do")
{
    const ConnectedDaemon daemon;
    const int owned = create_event("e", EVFD_AUTO);
    ok(evfd_set_permissions("e", 0444));
    const int news = create_event("news", EVFD_PULSE);
    ok(evfd_set_permissions("news", 0222));
    // If this process is not root, become_unprivileged() has no effect. The child then is the owner
    // of the events, and so is allowed to delete them.
    const bool is_root_here = is_root();
    Worker worker{[&](const WorkerSocket& socket) {
        become_unprivileged();
        ok(evfd_connect(daemon.path().c_str()));
        const int wait_only = ok(evfd_open("e", 0, 0, 0));
        require(evfd_get_access(wait_only) == EVFD_MAY_WAIT,
                "wrong access with permission to wait");
        expect_error(evfd_set(wait_only), EACCES);
        expect_error(evfd_clear(wait_only), EACCES);
        expect_error(evfd_set_name("e"), EACCES);
        if (is_root_here)
            expect_error(evfd_delete("e"), EACCES);
        require(evfd_is_set(wait_only) == 0, "set");
        socket.send(0);
        socket.receive();
        require(evfd_is_set(wait_only) == 1, "not set");
        // A wait would consume the token of the auto event, so a wait also requires the permission
        // to set.
        expect_error(evfd_wait(wait_only, EVFD_FOREVER), EACCES);
        expect_error(evfd_wait_any(&wait_only, 1, EVFD_FOREVER, nullptr), EACCES);
        expect_error(evfd_wait_all(&wait_only, 1, EVFD_FOREVER), EACCES);
        expect_error(evfd_wait_name("e", EVFD_FOREVER), EACCES);
        require(std::string_view{evfd_error()}.contains("needs r and w"), evfd_error());
        require(evfd_is_set(wait_only) == 1, "consumed");

        const int set_only = ok(evfd_open("news", 0, 0, 0));
        require(evfd_get_access(set_only) == EVFD_MAY_SET, "wrong access with permission to set");
        require(evfd_get_mode(set_only) == EVFD_PULSE, "wrong mode");
        expect_error(evfd_wait(set_only, 0), EACCES);
        expect_error(evfd_is_set(set_only), EACCES);
        expect_error(evfd_is_set_name("news"), EACCES);
        ok(evfd_add(set_only, 3));
        ok(evfd_add_name("news", 4));
        pollfd polled{set_only, POLLIN | POLLOUT, 0};
        require(::poll(&polled, 1, 0) == 0, "the descriptor polls readable or writable");
        ok(evfd_close(set_only));
        ok(evfd_close(wait_only));
    }};
    worker.receive();
    CHECK(evfd_set(owned) == 0);
    worker.send(0);
    CHECK(worker.wait() == 0);
    CHECK(evfd_is_set(owned) == 1);
    CHECK(evfd_wait(news, timeout_ns) == 7);
    CHECK(evfd_close(owned) == 0);
    CHECK(evfd_close(news) == 0);
}

TEST_CASE("every function rejects a closed descriptor, and one that the library did not open")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e");
    CHECK(evfd_close(fd) == 0);
    CHECK(::fcntl(fd, F_GETFD) == -1);
    const evfd_schedule schedule = ScheduleSpec{.interval_ns = timeout_ns};
    for (const int bad : {fd, -1, -5'000'000, 1'000'000, 2'000'000'000, STDERR_FILENO}) {
        expect_error(evfd_set(bad), EBADF);
        expect_error(evfd_add(bad, 1), EBADF);
        expect_error(evfd_clear(bad), EBADF);
        expect_error(evfd_is_set(bad), EBADF);
        expect_error(evfd_wait(bad, 0), EBADF);
        expect_error(evfd_trywait(bad), EBADF);
        expect_error(evfd_wait_until(bad, EVFD_CLOCK_MONOTONIC, 0), EBADF);
        expect_error(evfd_wait_until(bad, EVFD_CLOCK_REALTIME, INT64_MAX), EBADF);
        expect_error(evfd_wait_any(&bad, 1, 0, nullptr), EBADF);
        expect_error(evfd_wait_all(&bad, 1, 0), EBADF);
        expect_error(evfd_arm(bad, &schedule), EBADF);
        expect_error(evfd_disarm(bad), EBADF);
        expect_error(evfd_remaining(bad), EBADF);
        expect_error(evfd_get_mode(bad), EBADF);
        expect_error(evfd_get_access(bad), EBADF);
        expect_error(evfd_close(bad), EBADF);
    }
    CHECK(::fcntl(STDERR_FILENO, F_GETFD) != -1);
}

TEST_CASE("evfd_close() does not close a number that another file has reused")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_PULSE);
    const int fd = create_event("e", mode);
    const UniqueFd other{::eventfd(0, EFD_CLOEXEC)};
    // dup2(2) closes `fd` and gives the number of `fd` to another eventfd. A close(2) that is
    // followed by an open(2) can have the same effect.
    const UniqueFd number_owner{::dup2(other.get(), fd)};
    REQUIRE(number_owner.get() == fd);
    expect_error(evfd_close(fd), EBADF);
    CHECK(::fcntl(fd, F_GETFD) != -1);
    // evfd_close() has failed, but it has made the library forget the number.
    expect_error(evfd_set(fd), EBADF);
    CHECK(poll_until(
        [&] { return value_or_throw(daemon.client().show("e")).subscribers.value_or(0) == 0; }));
}

TEST_CASE("evfd_open() may return a number that the program closed by close(2)")
{
    const ConnectedDaemon daemon;
    std::set<int> closed_numbers;
    for (int i = 0; i < 4; ++i)
        closed_numbers.insert(create_event("first", EVFD_PULSE));
    for (const int fd : closed_numbers)
        REQUIRE(::close(fd) == 0);
    std::int64_t reused = 0;
    std::vector<int> fds;
    for (int i = 0; i < 8; ++i) {
        fds.push_back(create_event("second", EVFD_AUTO));
        CHECK(evfd_get_mode(fds.back()) == EVFD_AUTO);
        reused += closed_numbers.contains(fds.back()) ? 1 : 0;
    }
    CHECK(reused > 0);
    // The library does not notice a close(2) of a pulse's descriptor at once. When evfd_open()
    // returns the number of the closed descriptor again, the library ends the subscription of the
    // closed descriptor.
    CHECK(poll_until(
        [&] { return value_or_throw(daemon.client().show("first")).subscribers == 4 - reused; }));
    for (const int fd : fds)
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_close() ends a subscription, and a temporary event ends with its process")
{
    const ConnectedDaemon daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    CHECK(value_or_throw(daemon.client().show("pulse")).subscribers == 1);
    CHECK(evfd_close(pulse) == 0);
    CHECK(
        poll_until([&] { return value_or_throw(daemon.client().show("pulse")).subscribers == 0; }));

    Worker worker{[&](const WorkerSocket& socket) {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("e", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
        const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
        ok(evfd_arm_name("tick", &late, EVFD_TEMPORARY, 0666));
        socket.send(0);
        socket.receive();
    }};
    worker.receive();
    CHECK(value_or_throw(daemon.client().show("e")).lifetime == Lifetime::session);
    CHECK(value_or_throw(daemon.client().show("tick")).lifetime == Lifetime::session);
    worker.send(0);
    CHECK(worker.wait() == 0);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 1; }));
}

TEST_CASE("evfd_connect chooses the daemon, and open descriptors keep theirs")
{
    const DaemonProcess one;
    const DaemonProcess other;
    ok(evfd_connect(one.path().c_str()));
    const int fd = create_event("e", EVFD_PULSE);
    expect_error(evfd_connect((one.directory() / "missing").c_str()), ECONNREFUSED);
    expect_error(evfd_connect(std::string(200, 'x').c_str()), ECONNREFUSED);
    // After a failed evfd_connect() the library still uses the previous daemon.
    CHECK(evfd_set_name("e") == 0);

    ok(evfd_connect(other.path().c_str()));
    expect_error(evfd_set_name("e"), ENOENT);
    CHECK(evfd_set(fd) == 0);
    CHECK(evfd_wait(fd, timeout_ns) == 2);
    const int second = create_event("there");
    const int fds[] = {fd, second};
    expect_error(evfd_wait_any(fds, 2, 0, nullptr), ETIMEDOUT);
    CHECK(evfd_set(second) == 0);
    CHECK(evfd_wait_any(fds, 2, timeout_ns, nullptr) == 1);
    CHECK(evfd_close(second) == 0);
    CHECK(evfd_close(fd) == 0);
    CHECK(poll_until([&] { return value_or_throw(one.client().status()).connections == 1; }));
}

TEST_CASE("evfd_open does not return another object that took the name after the creation")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto status = wire.request("Status").dump();
    const auto* const opened =
        GENERATE(R"("kind":"event","mode":"semaphore")", R"("kind":"timer")");
    const bool exists = GENERATE(true, false);
    ScriptedDaemon scripted;
    Worker worker{[&](const WorkerSocket&) {
        ok(evfd_connect(scripted.address().path.c_str()));
        expect_error(evfd_open("e", EVFD_CREATE | EVFD_AUTO, 0666, 0), EBUSY);
    }};
    auto connection = scripted.accept();
    connection.receive_call();
    connection.receive_call();
    connection.send_reply(status);
    CHECK(connection.receive_call().contains("io.evfdd.CreateEvent"));
    connection.send_reply(exists ? R"({"parameters":{"created":false,"id":7}})"
                                 : R"({"parameters":{"created":true,"id":7}})");
    CHECK(connection.receive_call().contains("io.evfdd.Open"));
    connection.send_reply(R"({"parameters":{"objects":[{)" + std::string{opened} +
                          R"(,"id":7,"canWait":false,"canSet":true}]}})");
    CHECK(worker.wait() == 0);
}

TEST_CASE("C99 and C11 programs can use every function with the daemon that the environment names")
{
    const DaemonProcess daemon;
    const auto* const program = GENERATE(EVFDD_C99_PROGRAM, EVFDD_C11_PROGRAM);
    const std::string mode_argument = GENERATE("evfd_connect", "at once");
    const auto ran =
        run({.argv = {program, mode_argument}, .environment = {"EVFDD_SOCKET=" + daemon.path()}});
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

} // namespace
} // namespace evfd::e2e
