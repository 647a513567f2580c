// Tests of evfd.h in a process that changes its user after it has connected to the daemon.
#include "tests/c/fixture.h"

#include <unistd.h>

namespace evfd::e2e {
namespace {

void set_effective_uid(uid_t uid)
{
    require(::seteuid(uid) == 0, "seteuid(2)");
}

TEST_CASE("a call uses the current credentials, in C")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket&) {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("root", EVFD_CREATE | EVFD_SEMAPHORE, 0600, 2));
        // The library uses a second session for evfd_wait_name(), and keeps it open. That session
        // belongs to root, so the library must not use that session after become_unprivileged().
        ok(evfd_wait_name("root", timeout_ns));
        become_unprivileged();
        expect_error(evfd_delete("root"), EACCES);
        expect_error(evfd_set_name("root"), EACCES);
        expect_error(evfd_wait_name("root", 0), EACCES);
        expect_error(evfd_open("root", 0, 0, 0), EACCES);
        ok(evfd_open("own", EVFD_CREATE, 0600, 0));
    }};
    CHECK(child.wait() == 0);
    CHECK(value_or_throw(daemon.client().show("root")).count == 1);
    CHECK(value_or_throw(daemon.client().show("own")).owner_uid == unprivileged_uid);
}

TEST_CASE("descriptors and temporary objects stay usable after a change of the user, in C")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket& socket) {
        ok(evfd_connect(daemon.path().c_str()));
        const int pulse = ok(evfd_open("pulse", EVFD_CREATE | EVFD_PULSE, 0600, 0));
        const int mine = ok(evfd_open("mine", EVFD_CREATE | EVFD_TEMPORARY, 0600, 0));
        set_effective_uid(unprivileged_uid);
        expect_error(evfd_set_name("mine"), EACCES);
        ok(evfd_set(mine)); // The descriptor keeps the access with which it was opened.
        socket.send(0);
        require(ok(evfd_wait(pulse, timeout_ns)) == 1, "no pulse");
        set_effective_uid(0);
        require(ok(evfd_is_set_name("mine")) == 1, "not set");
        ok(evfd_delete("mine"));
        ok(evfd_close(pulse));
        require(ok(evfd_wait_name("done", timeout_ns)) == 1, "not done");
    }};
    child.receive();
    const auto client = daemon.client();
    value_or_throw(client.set(std::vector{"pulse"s}));
    CHECK(poll_until([&] { return value_or_throw(client.show("pulse")).subscribers == 0; }));
    value_or_throw(client.create("done", {.initial = 1}));
    CHECK(child.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
