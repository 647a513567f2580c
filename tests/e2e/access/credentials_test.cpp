// Tests of a process that changes its credentials and continues to use its client.
#include "client/core/connection_pool.h"
#include "tests/support/daemon_process.h"

#include <grp.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

void set_effective_uid(uid_t uid)
{
    require(::seteuid(uid) == 0, "seteuid(2) failed");
}

void require_refused(const Expected<void>& tried)
{
    require(!tried && tried.error().code == ErrorCode::refused, "the call was not refused");
}

std::vector<std::string> single_name(const char* name)
{
    return {name};
}

TEST_CASE("a call is made with the user of the process at the time of the call")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket&) {
        const auto client = daemon.client();
        value_or_throw(client.create(
            "roots",
            {.mode = Mode::semaphore, .initial = 2, .permissions = Permissions::parse("0600")}));
        // Makes the client open its second connection. The client uses this connection for waits,
        // and keeps it open.
        value_or_throw(client.wait(single_name("roots")));
        become_unprivileged();
        require_refused(client.delete_object(single_name("roots")));
        require_refused(client.set(single_name("roots")));
        require_refused(client.clear(single_name("roots")));
        const auto waited = client.wait(single_name("roots"), {.timeout = 0ns});
        require(!waited && waited.error().code == ErrorCode::refused, "the call was not refused");
        value_or_throw(client.create("its"));
    }};
    CHECK(child.wait() == 0);
    CHECK(value_or_throw(daemon.client().show("roots")).count == 1);
    CHECK(value_or_throw(daemon.client().show("its")).owner_uid == unprivileged_uid);
}

TEST_CASE("a call is made with the groups of the process at the time of the call")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const gid_t group = unprivileged_uid + 1;
    Worker child{[&](const WorkerSocket&) {
        const auto client = daemon.client();
        require(::setgroups(1, &group) == 0 && ::setegid(group) == 0,
                "the groups were not changed");
        value_or_throw(client.create("shared", {.permissions = Permissions::parse("0660")}));
        require(::setegid(unprivileged_uid) == 0, "the groups were not changed");
        set_effective_uid(unprivileged_uid);
        value_or_throw(client.set(single_name("shared")));
        set_effective_uid(0);
        require(::setgroups(0, nullptr) == 0, "the groups were not dropped");
        set_effective_uid(unprivileged_uid);
        require_refused(client.set(single_name("shared")));
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("a client has one connection for each user of its process, for as long as one is needed")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket&) {
        const auto client = daemon.client();
        value_or_throw(client.status());
        const auto before = value_or_throw(client.status()).connections;
        const auto become_both = [&] {
            for (int i = 0; i < 3; ++i)
                for (const uid_t uid : {unprivileged_uid, uid_t{0}}) {
                    set_effective_uid(uid);
                    value_or_throw(client.status());
                }
        };
        become_both();
        require(poll_until([&] { return value_or_throw(client.status()).connections == before; }),
                "a connection remains");
        value_or_throw(client.create("mine", {.lifetime = Lifetime::session}));
        become_both();
        require(poll_until([&] { return value_or_throw(client.status()).connections == before; }),
                "two connections remain, and one is needed");
        set_effective_uid(unprivileged_uid);
        value_or_throw(client.create("its", {.lifetime = Lifetime::session}));
        become_both();
        require(value_or_throw(client.status()).connections == before + 1,
                "wrong number of connections");
        value_or_throw(client.show("mine"));
    }};
    CHECK(child.wait() == 0);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).objects == 0; }));
}

// The first of several consecutive uids. A root process uses each of these uids in turn as its
// effective uid.
constexpr uid_t first_user = 1'500'000'000;

void act_as(uid_t user, const auto& work)
{
    set_effective_uid(user);
    work();
    set_effective_uid(0);
}

TEST_CASE("objects opened and created as another user leave no connection once they are closed")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket&) {
        const auto client = daemon.client();
        value_or_throw(client.create(
            "pulse", {.mode = Mode::pulse, .permissions = Permissions::parse("0666")}));
        const auto before = value_or_throw(client.status()).connections;
        for (uid_t user = first_user; user < first_user + 5; ++user) {
            std::optional<Event> pulse;
            act_as(user, [&] {
                pulse.emplace(value_or_throw(client.open("pulse")));
                pulse.reset();
                value_or_throw(client.create("its", {.lifetime = Lifetime::session}));
                value_or_throw(client.delete_object(single_name("its")));
            });
            value_or_throw(client.status());
            act_as(user, [&] {
                pulse.emplace(value_or_throw(client.open("pulse")));
                value_or_throw(client.create("its", {.lifetime = Lifetime::session}));
            });
            require(poll_until(
                        [&] { return value_or_throw(client.status()).connections == before + 1; }),
                    "not what it has");
            value_or_throw(client.delete_object(single_name("its")));
            pulse.reset();
        }
        require(poll_until([&] { return value_or_throw(client.status()).connections == before; }),
                "a connection remains");
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("a client keeps the sessions of 64 former users and refuses one more")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket&) {
        const auto client = daemon.client();
        value_or_throw(client.create(
            "pulse", {.mode = Mode::pulse, .permissions = Permissions::parse("0666")}));
        const auto before = value_or_throw(client.status()).connections;
        std::vector<Event> opened;
        for (uid_t i = 0; i <= max_former_sessions; ++i)
            act_as(first_user + i, [&] { opened.push_back(value_or_throw(client.open("pulse"))); });

        const auto status = client.status();
        const auto waited = client.wait(single_name("pulse"), {.timeout = 0ns});

        const auto is_refused = [](const auto& tried) {
            return !tried && tried.error().code == ErrorCode::refused && tried.error().is_limit &&
                   tried.error().message.contains("64 former users");
        };
        require(is_refused(status) && is_refused(waited), "the call was not refused");
        act_as(first_user,
               // The client already has a session of the first user. This call therefore needs no
               // further session, and the client does not refuse it.
               [&] { value_or_throw(client.status()); });
        opened.pop_back();
        const auto all = before + static_cast<std::int64_t>(max_former_sessions);
        require(poll_until([&] { return value_or_throw(client.status()).connections == all; }),
                "not a connection for each");
        value_or_throw(client.set(single_name("pulse")));
        for (const auto& pulse : opened)
            require(value_or_throw(pulse.wait(default_timeout)) == 1, "no pulse arrived");
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("a hold and a subscription survive a change of the process's user")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker child{[&](const WorkerSocket& parent) {
        const auto client = daemon.client();
        value_or_throw(client.create("jobs", {.mode = Mode::semaphore, .initial = 1}));
        value_or_throw(client.create(
            "pulse", {.mode = Mode::pulse, .permissions = Permissions::parse("0600")}));
        auto hold = value_or_throw(client.hold("jobs"));
        const auto pulse = value_or_throw(client.open("pulse"));
        become_unprivileged();
        require(value_or_throw(client.show("jobs")).count == 0, "the token is not held");
        parent.send(0);
        require(value_or_throw(pulse.wait(default_timeout)) == 1, "no pulse arrived");
        value_or_throw(hold.release());
        require(value_or_throw(client.show("jobs")).count == 1, "the token was not returned");
    }};
    child.receive();
    value_or_throw(daemon.client().set(single_name("pulse")));
    CHECK(child.wait() == 0);
}

TEST_CASE(
    "a temporary object survives a kill of the daemon when its owner restores its credentials")
{
    skip_unless_root();
    const SupervisedDaemon supervised;
    Worker child{[&](const WorkerSocket&) {
        const auto client = supervised.client();
        value_or_throw(client.create(
            "mine", {.permissions = Permissions::parse("0600"), .lifetime = Lifetime::session}));
        set_effective_uid(unprivileged_uid);
        value_or_throw(client.status());
        supervised.kill_daemon();
        value_or_throw(client.status());
        set_effective_uid(0);
        value_or_throw(client.set(single_name("mine")));
    }};
    CHECK(child.wait() == 0);
    CHECK(poll_until([&] { return value_or_throw(supervised.client().status()).objects == 0; }));
}

} // namespace
} // namespace evfd::e2e
