// evfd.h in a process that becomes another user.
#include "tests/c/fixture.h"

#include <unistd.h>

namespace evfd::e2e {
namespace {

void become_effectively(uid_t uid)
{
    require(::seteuid(uid) == 0, "cannot become another user");
}

TEST_CASE("a call is one of who the process is now, in C")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line&) {
        ok(evfd_connect(daemon.path().c_str()));
        ok(evfd_open("roots", EVFD_CREATE | EVFD_SEMAPHORE, 0600, 2));
        ok(evfd_wait_name("roots", patience_ns)); // On a line of its own, which is kept.
        become_stranger();
        must_fail(evfd_delete("roots"), EACCES);
        must_fail(evfd_set_name("roots"), EACCES);
        must_fail(evfd_wait_name("roots", 0), EACCES);
        must_fail(evfd_open("roots", 0, 0, 0), EACCES);
        ok(evfd_open("its", EVFD_CREATE, 0600, 0));
    }};
    CHECK(child.wait() == 0);
    CHECK(must(daemon.client().show("roots")).count == 1);
    CHECK(must(daemon.client().show("its")).owner_uid == stranger);
}

TEST_CASE("what is open and what is temporary goes on for who became another user, in C")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line& line) {
        ok(evfd_connect(daemon.path().c_str()));
        const int pulse = ok(evfd_open("pulse", EVFD_CREATE | EVFD_PULSE, 0600, 0));
        const int mine = ok(evfd_open("mine", EVFD_CREATE | EVFD_TEMPORARY, 0600, 0));
        become_effectively(stranger);
        must_fail(evfd_set_name("mine"), EACCES);
        ok(evfd_set(mine)); // It was opened for that.
        line.say(0);
        require(ok(evfd_wait(pulse, patience_ns)) == 1, "no pulse");
        become_effectively(0);
        require(ok(evfd_is_set_name("mine")) == 1, "not set");
        ok(evfd_delete("mine"));
        ok(evfd_close(pulse));
        require(ok(evfd_wait_name("done", patience_ns)) == 1, "not done");
    }};
    child.hear();
    const auto client = daemon.client();
    must(client.set(std::vector{"pulse"s}));
    CHECK(eventually([&] { return must(client.show("pulse")).subscriptions == 0; }));
    must(client.create("done", {.initial = 1}));
    CHECK(child.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
