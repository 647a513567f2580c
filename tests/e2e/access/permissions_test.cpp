// Tests of the permissions of objects between two users. Only root can run programs as two users.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"

#include <unistd.h>

namespace evfd::e2e {
namespace {

const gid_t group = unprivileged_uid + 1;

// Runs evfdctl as an unprivileged user. The user's only group is its primary group.
RunResult as_unprivileged(const DaemonProcess& daemon, std::vector<std::string> words)
{
    auto command = daemon.ctl_command(std::move(words));
    command.user = User{unprivileged_uid};
    return run(command);
}

void as_unprivileged(const std::function<void()>& work)
{
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        work();
    }};
    CHECK(worker.wait() == 0);
}

Expected<void> without_value(const auto& tried)
{
    return tried ? Expected<void>{} : std::unexpected(tried.error());
}

// Returns the result of a call: "ok", "refused", or the message of another error.
std::string verdict(const Expected<void>& tried)
{
    if (tried)
        return "ok";
    return tried.error().code == ErrorCode::refused ? "refused" : tried.error().message;
}

TEST_CASE("permissions decide which calls another user may make by name")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto [permissions, waits, sets] = GENERATE(table<std::string, std::string, std::string>({
        {"0666", "ok", "ok"},
        {"0664", "ok", "refused"},
        {"0662", "refused", "ok"},
        {"0660", "refused", "refused"},
        {"0006", "ok", "ok"},
    }));
    REQUIRE(client.create("e", {.initial = 1, .permissions = Permissions::parse(permissions)}));
    as_unprivileged([&] {
        const std::vector names{"e"s};
        const auto worker_client = daemon.client();
        require(verdict(without_value(worker_client.wait(names, {.timeout = 0ns}))) == waits,
                "wait");
        require(verdict(worker_client.set(names)) == sets, "set");
        require(verdict(worker_client.clear(names)) == sets, "clear");
        require(verdict(worker_client.delete_object(names)) == "refused", "delete");
        require(verdict(worker_client.set_permissions("e", *Permissions::parse("0666"))) ==
                    "refused",
                "permissions");
        // A caller with permission to set sees that the event exists. Only a caller with permission
        // to wait sees the state of the event.
        const bool sees = waits == "ok" || sets == "ok";
        const auto object = worker_client.show("e");
        require(verdict(without_value(object)) == (sees ? "ok" : "refused"), "show");
        if (!sees)
            return;
        require(object->is_set.has_value() == (waits == "ok"), "state");
        require(object->count.has_value() == (waits == "ok"), "count");
    });
    CHECK(client.delete_object(std::vector{"e"s}));
}

TEST_CASE("a user with read permission alone sees the state of a lock and cannot consume it")
{
    skip_unless_root();
    const auto mode = GENERATE("auto"s, "semaphore"s);
    const DaemonProcess daemon;
    daemon.checked_ctl(
        {"create", "lock", "--mode", mode, "--initial", "1", "--permissions", "0644"});
    CHECK(as_unprivileged(daemon, {"is-set", "lock"}).status == 0);
    for (const auto& words : {std::vector{"wait"s, "lock"s, "--timeout"s, "0"s},
                              std::vector{"wait"s, "--any"s, "lock"s, "other"s, "--timeout"s, "0"s},
                              std::vector{"hold"s, "lock"s, "--timeout"s, "0"s, "--"s, "true"s},
                              std::vector{"on"s, "lock"s, "--once"s, "--"s, "true"s}}) {
        const auto refused = as_unprivileged(daemon, words);
        INFO(refused.err);
        CHECK(refused.status == 4);
        CHECK(refused.err.contains("ask its owner for the w permission"));
    }
    CHECK(daemon.ctl({"hold", "lock", "--timeout", "0", "--", "true"}).status == 0);
    daemon.checked_ctl({"chmod", "lock", "0666"});
    CHECK(as_unprivileged(daemon, {"wait", "lock", "--timeout", "0"}).status == 0);
}

TEST_CASE("a consuming wait ends with a refusal when the permission to consume is revoked")
{
    skip_unless_root();
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "lock", "--mode", "auto", "--permissions", "0666"});
    auto waiting = daemon.ctl_command({"wait", "lock"});
    waiting.user = User{unprivileged_uid};
    OutputReader refused_wait{waiting};
    REQUIRE(daemon.has_waits("lock", 1));
    daemon.checked_ctl({"chmod", "lock", "0644"});
    CHECK(refused_wait.wait() == 4);
    CHECK(refused_wait.errors().contains("needs r and w"));
}

TEST_CASE("group permissions apply to members, whether the group is primary or supplementary")
{
    skip_unless_root();
    const DaemonProcess daemon;
    auto create = daemon.ctl_command({"create", "e", "--permissions", "0640"});
    create.in_child = [] { (void)!::setresgid(group, group, group); };
    REQUIRE(run(create).status == 0);

    const auto [first, second, may] = GENERATE(table<gid_t, gid_t, bool>({
        {group, unprivileged_uid, true},
        {unprivileged_uid, group, true},
        {unprivileged_uid, unprivileged_uid, false},
    }));
    auto is_set = daemon.ctl_command({"is-set", "e"});
    is_set.user = User{unprivileged_uid, first, {second}};
    const auto ran = run(is_set);
    CHECK(ran.status == (may ? 1 : 4));
    if (!may)
        CHECK(ran.err.contains("ask its owner for the r permission"));
}

TEST_CASE("evfdctl reports a refusal with status 4 and one line that names the owner to ask")
{
    skip_unless_root();
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--permissions", "0600"});
    const std::vector<std::string> words =
        GENERATE(std::vector{"set"s, "e"s}, std::vector{"clear"s, "e"s},
                 std::vector{"delete"s, "e"s}, std::vector{"wait"s, "e"s},
                 std::vector{"is-set"s, "e"s}, std::vector{"chmod"s, "e"s, "0666"s});
    const auto ran = as_unprivileged(daemon, words);
    INFO(ran.err);
    CHECK(ran.status == 4);
    CHECK(ran.out.empty());
    CHECK(std::ranges::count(ran.err, '\n') == 1);
    CHECK(ran.err.contains("'e'"));
    CHECK(value_or_throw(daemon.client().show("e")).permissions == *Permissions::parse("0600"));
}

TEST_CASE(
    "an owner may delete and change permissions regardless of them, and root may do everything")
{
    skip_unless_root();
    const DaemonProcess daemon;
    as_unprivileged([&] {
        const auto worker_client = daemon.client();
        value_or_throw(worker_client.create("e", {.permissions = Permissions::parse("0000")}));
        value_or_throw(worker_client.create("f", {.permissions = Permissions::parse("0000")}));
        require(verdict(worker_client.set(std::vector{"e"s})) == "refused",
                "a set without permission succeeded");
        value_or_throw(worker_client.set_permissions("e", *Permissions::parse("0600")));
        value_or_throw(worker_client.set(std::vector{"e"s}));
        value_or_throw(worker_client.delete_object(std::vector{"e"s}));
    });
    const auto client = daemon.client();
    const auto object = value_or_throw(client.show("f"));
    CHECK(object.owner_uid == unprivileged_uid);
    CHECK(object.group_gid == unprivileged_uid);
    CHECK(client.set(std::vector{"f"s}));
    CHECK(value_or_throw(value_or_throw(client.open("f")).wait(0ns)) == 1);
    CHECK(client.delete_object(std::vector{"f"s}));
}

TEST_CASE("a wait for a future name is refused when the name appears without permission to wait")
{
    skip_unless_root();
    const DaemonProcess daemon;
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto refused = daemon.client().wait(std::vector{"later"s});
        require(!refused && refused.error().code == ErrorCode::refused, "the call was not refused");
    }};
    REQUIRE(daemon.has_waits("later", 1));
    daemon.checked_ctl({"create", "later", "--permissions", "0660"});
    CHECK(worker.wait() == 0);
}

TEST_CASE("a descriptor stays usable when permissions are revoked, and a new open is refused")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.permissions = Permissions::parse("0666")}));
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        const auto event = value_or_throw(worker_client.open("e"));
        parent.send(0);
        parent.receive();
        value_or_throw(event.set());
        require(!worker_client.open("e"), "an open without permission succeeded");
    }};
    worker.receive();
    REQUIRE(client.set_permissions("e", *Permissions::parse("0600")));
    worker.send(0);
    CHECK(worker.wait() == 0);
    CHECK(value_or_throw(client.show("e")).is_set == true);
}

TEST_CASE("a monitor reports to another user only the objects that this user may see")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("secret", {.permissions = Permissions::parse("0600")}));
    REQUIRE(client.create("shown", {.permissions = Permissions::parse("0644")}));
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        (void)daemon.client().monitor("", [&](protocol::Monitor::Reply& update) {
            if (update.change == Change::ready) {
                parent.send(0);
                return true;
            }
            require(update.name->text() == "shown", "a hidden object was reported");
            require(update.object->is_set.has_value(), "the state is wrong");
            return update.change != Change::changed;
        });
    }};
    worker.receive();
    REQUIRE(client.set(std::vector{"secret"s}));
    REQUIRE(client.set(std::vector{"shown"s}));
    CHECK(worker.wait() == 0);
}

TEST_CASE("the quota of one user does not limit another user")
{
    skip_unless_root();
    const DaemonProcess daemon;
    as_unprivileged([&] {
        std::vector<WireClient> monitors;
        for (int i = 0; i < 65; ++i) {
            monitors.emplace_back(daemon.path()).call("Monitor", Json::object(), "more");
            const auto reply = monitors.back().reply();
            require(reply.contains("error") == (i == 64), "the limit is wrong");
        }
        WireClient own{daemon.path()};
        own.call("Monitor", Json::object(), "more");
        require(own.reply()["error"] == "io.evfdd.QuotaExceeded", "the limit is not enforced");
    });
    WireClient wire{daemon.path()};
    wire.call("Monitor", Json::object(), "more");
    CHECK(wire.reply()["parameters"]["change"] == "ready");
}

} // namespace
} // namespace evfd::e2e
