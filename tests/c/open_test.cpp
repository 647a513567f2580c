// evfd.h: what is opened, made, closed and deleted, and which daemon it is of.
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

TEST_CASE("evfd_open makes an event of each mode and opens what is there")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int made = ok(evfd_open("e", EVFD_CREATE | mode, 0666, mode == EVFD_PULSE ? 0 : 1));
    CHECK(evfd_mode(made) == mode);
    CHECK(evfd_access(made) == both);
    CHECK(evfd_is_set(made) == (mode != EVFD_PULSE));
    CHECK((::fcntl(made, F_GETFD) & FD_CLOEXEC) != 0);

    const int again = ok(evfd_open("e", EVFD_CREATE | mode, 0600, 0)); // It stays as it is.
    const int plain = ok(evfd_open("e", 0, 0, 0));
    for (const int fd : {again, plain}) {
        CHECK(evfd_mode(fd) == mode);
        CHECK(evfd_is_set(fd) == (mode != EVFD_PULSE));
    }
    expect_error(evfd_open("e", EVFD_CREATE | EVFD_EXCL | mode, 0666, 0), EEXIST);
    const int other = mode == EVFD_AUTO ? EVFD_MANUAL : EVFD_AUTO;
    expect_error(evfd_open("e", EVFD_CREATE | other, 0666, 0), EEXIST);
    for (const int fd : {made, again, plain})
        CHECK(evfd_close(fd) == 0);
    CHECK(evfd_delete("e") == 0);
    expect_error(evfd_open("e", 0, 0, 0), ENOENT);
    expect_error(evfd_delete("e"), ENOENT);
    CHECK(evfd_close(ok(evfd_open("e", EVFD_CREATE | EVFD_EXCL | mode, 0666, 0))) == 0);
}

TEST_CASE("evfd_open refuses what makes no sense, and says why")
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
    expect_error(evfd_set_rights("e", 0666), ENOENT);
    expect_error(evfd_set_rights("e", 010000), EINVAL);
    expect_error(evfd_delete(nullptr), EINVAL);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

TEST_CASE("rights may have x, which is ignored")
{
    const ConnectedDaemon daemon;
    const auto before = ::umask(0);
    const int e = ok(evfd_open("e", EVFD_CREATE, 0777, 0));
    ::umask(before);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("rights    0666 "));
    CHECK(evfd_set_rights("e", 0751) == 0);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("rights    0640 "));
    CHECK(daemon.ctl({"rights", "e", "777"}).status == 0);
    CHECK(daemon.checked_ctl({"show", "e"}).contains("rights    0666 "));
    CHECK(evfd_close(e) == 0);
}

TEST_CASE("rights are less by the umask when something is made, and as given afterwards")
{
    const ConnectedDaemon daemon;
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
    const auto before = ::umask(027);
    const int fd = evfd_open("e", EVFD_CREATE, 0666, 0);
    const int tick = evfd_arm_name("tick", &late, 0, 0664);
    ::umask(before);
    CHECK(ok(tick) == 1);
    const auto client = daemon.client();
    CHECK(value_or_throw(client.show("e")).rights.text() == "0640");
    CHECK(value_or_throw(client.show("tick")).rights.text() == "0640");
    CHECK(evfd_set_rights("e", 0666) == 0);
    CHECK(value_or_throw(client.show("e")).rights.text() == "0666");
    CHECK(evfd_close(ok(fd)) == 0);
}

TEST_CASE("who may only wait or only set has a descriptor for just that")
{
    const ConnectedDaemon daemon;
    const int owned = create_event("e", EVFD_AUTO);
    ok(evfd_set_rights("e", 0444));
    const int news = create_event("news", EVFD_PULSE);
    ok(evfd_set_rights("news", 0222));
    const bool is_root_here = is_root(); // Else the stranger is the owner.
    Worker worker{[&](const WorkerSocket& line) {
        become_unprivileged();
        ok(evfd_connect(daemon.path().c_str()));
        const int waits = ok(evfd_open("e", 0, 0, 0));
        require(evfd_access(waits) == EVFD_MAY_WAIT, "wrong access to what he may wait for");
        expect_error(evfd_set(waits), EACCES);
        expect_error(evfd_clear(waits), EACCES);
        expect_error(evfd_set_name("e"), EACCES);
        if (is_root_here)
            expect_error(evfd_delete("e"), EACCES);
        require(evfd_is_set(waits) == 0, "set");
        line.send(0);
        line.receive();
        require(evfd_is_set(waits) == 1, "not set");
        expect_error(evfd_wait(waits, EVFD_FOREVER), EACCES); // It would take from it.
        expect_error(evfd_wait_any(&waits, 1, EVFD_FOREVER, nullptr), EACCES);
        expect_error(evfd_wait_all(&waits, 1, EVFD_FOREVER), EACCES);
        expect_error(evfd_wait_name("e", EVFD_FOREVER), EACCES);
        require(std::string_view{evfd_error()}.contains("needs r and w"), evfd_error());
        require(evfd_is_set(waits) == 1, "taken");

        const int sets = ok(evfd_open("news", 0, 0, 0));
        require(evfd_access(sets) == EVFD_MAY_SET, "wrong access to what he may set");
        require(evfd_mode(sets) == EVFD_PULSE, "wrong mode");
        expect_error(evfd_wait(sets, 0), EACCES);
        expect_error(evfd_is_set(sets), EACCES);
        expect_error(evfd_is_set_name("news"), EACCES);
        ok(evfd_add(sets, 3));
        ok(evfd_add_name("news", 4));
        pollfd polled{sets, POLLIN | POLLOUT, 0};
        require(::poll(&polled, 1, 0) == 0, "it can be read or written");
        ok(evfd_close(sets));
        ok(evfd_close(waits));
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

TEST_CASE("what is closed, or was never opened, is no descriptor for anything here")
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
        expect_error(evfd_wait_any(&bad, 1, 0, nullptr), EBADF);
        expect_error(evfd_wait_all(&bad, 1, 0), EBADF);
        expect_error(evfd_arm(bad, &schedule), EBADF);
        expect_error(evfd_disarm(bad), EBADF);
        expect_error(evfd_remaining(bad), EBADF);
        expect_error(evfd_mode(bad), EBADF);
        expect_error(evfd_access(bad), EBADF);
        expect_error(evfd_close(bad), EBADF);
    }
    CHECK(::fcntl(STDERR_FILENO, F_GETFD) != -1);
}

TEST_CASE("a number that is another file's by now is not closed once more")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_PULSE);
    const int fd = create_event("e", mode);
    const UniqueFd other{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd in_its_place{::dup2(other.get(), fd)}; // As close(2) and another open.
    REQUIRE(in_its_place.get() == fd);
    expect_error(evfd_close(fd), EBADF);
    CHECK(::fcntl(fd, F_GETFD) != -1);
    expect_error(evfd_set(fd), EBADF); // It is known no more.
    CHECK(poll_until(
        [&] { return value_or_throw(daemon.client().show("e")).subscriptions.value_or(0) == 0; }));
}

TEST_CASE("a number that close(2) gave back can be that of the next one that is opened")
{
    const ConnectedDaemon daemon;
    std::set<int> given_back;
    for (int i = 0; i < 4; ++i)
        given_back.insert(create_event("first", EVFD_PULSE));
    for (const int fd : given_back)
        REQUIRE(::close(fd) == 0);
    std::int64_t found_again = 0;
    std::vector<int> fds;
    for (int i = 0; i < 8; ++i) {
        fds.push_back(create_event("second", EVFD_AUTO));
        CHECK(evfd_mode(fds.back()) == EVFD_AUTO);
        found_again += given_back.contains(fds.back()) ? 1 : 0;
    }
    CHECK(found_again > 0);
    // The daemon does not feed what was there before.
    CHECK(poll_until([&] {
        return value_or_throw(daemon.client().show("first")).subscriptions == 4 - found_again;
    }));
    for (const int fd : fds)
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a pulse that is closed is not fed any more, and a temporary event goes with its process")
{
    const ConnectedDaemon daemon;
    const int pulse = create_event("pulse", EVFD_PULSE);
    CHECK(value_or_throw(daemon.client().show("pulse")).subscriptions == 1);
    CHECK(evfd_close(pulse) == 0);
    CHECK(poll_until(
        [&] { return value_or_throw(daemon.client().show("pulse")).subscriptions == 0; }));

    Worker worker{[&](const WorkerSocket& line) {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("e", EVFD_CREATE | EVFD_TEMPORARY, 0666, 0));
        const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
        ok(evfd_arm_name("tick", &late, EVFD_TEMPORARY, 0666));
        line.send(0);
        line.receive();
    }};
    worker.receive();
    CHECK(value_or_throw(daemon.client().show("e")).lifetime == Lifetime::connection);
    CHECK(value_or_throw(daemon.client().show("tick")).lifetime == Lifetime::connection);
    worker.send(0);
    CHECK(worker.wait() == 0);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 1; }));
}

TEST_CASE("evfd_connect chooses the daemon, and what is open stays with its own")
{
    const DaemonProcess one;
    const DaemonProcess other;
    ok(evfd_connect(one.path().c_str()));
    const int fd = create_event("e", EVFD_PULSE);
    expect_error(evfd_connect((one.directory() / "nobody").c_str()), ECONNREFUSED);
    expect_error(evfd_connect(std::string(200, 'x').c_str()), ECONNREFUSED);
    CHECK(evfd_set_name("e") == 0); // As before.

    ok(evfd_connect(other.path().c_str()));
    expect_error(evfd_set_name("e"), ENOENT);
    CHECK(evfd_set(fd) == 0);
    CHECK(evfd_wait(fd, timeout_ns) == 2);
    const int there = create_event("there");
    const int fds[] = {fd, there};
    expect_error(evfd_wait_any(fds, 2, 0, nullptr), ETIMEDOUT);
    CHECK(evfd_set(there) == 0);
    CHECK(evfd_wait_any(fds, 2, timeout_ns, nullptr) == 1);
    CHECK(evfd_close(there) == 0);
    CHECK(evfd_close(fd) == 0);
    CHECK(poll_until([&] { return value_or_throw(one.client().status()).connections == 1; }));
}

TEST_CASE("evfd_open does not give what took the name after it was made")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto status = wire.request("Status").dump();
    const auto* const opened =
        GENERATE(R"("kind":"event","mode":"semaphore")", R"("kind":"timer")");
    const bool is_there = GENERATE(true, false);
    ScriptedDaemon by_hand;
    Worker worker{[&](const WorkerSocket&) {
        ok(evfd_connect(by_hand.address().path.c_str()));
        expect_error(evfd_open("e", EVFD_CREATE | EVFD_AUTO, 0666, 0), EEXIST);
    }};
    auto connection = by_hand.accept();
    connection.receive_call();
    connection.receive_call();
    connection.send_reply(status);
    CHECK(connection.receive_call().contains("io.evfdd.CreateEvent"));
    connection.send_reply(is_there ? R"({"parameters":{"created":false}})"
                                   : R"({"parameters":{"created":true}})");
    CHECK(connection.receive_call().contains("io.evfdd.Open"));
    connection.send_reply(R"({"parameters":{"objects":[{)" + std::string{opened} +
                          R"(,"mayWait":false,"maySet":true}]}})");
    CHECK(worker.wait() == 0);
}

TEST_CASE("programs of C99 and C11 do all of it with the daemon that the environment names")
{
    const DaemonProcess daemon;
    const auto* const program = GENERATE(EVFDD_C99_PROGRAM, EVFDD_C11_PROGRAM);
    const std::string connects = GENERATE("evfd_connect", "at once");
    const auto ran =
        run({.argv = {program, connects}, .environment = {"EVFDD_SOCKET=" + daemon.path()}});
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(value_or_throw(daemon.client().status()).objects == 0);
}

} // namespace
} // namespace evfd::e2e
