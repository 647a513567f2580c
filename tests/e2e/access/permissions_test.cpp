// Two users. Which only root can be.
#include "tests/support/daemon_process.h"
#include "tests/paths.h"

#include <unistd.h>

namespace evfd::e2e {
namespace {

const gid_t group = stranger + 1;

// As the stranger, in the stranger's group alone.
Ran as_stranger(const Daemon& daemon, std::vector<std::string> words)
{
    auto command = daemon.control(std::move(words));
    command.user = User{stranger};
    return run(command);
}

void as_stranger(const std::function<void()>& work)
{
    Worker worker{[&](const Line&) {
        become_stranger();
        work();
    }};
    CHECK(worker.wait() == 0);
}

Try<void> only_error(const auto& tried)
{
    return tried ? Try<void>{} : std::unexpected(tried.error());
}

// "ok", or the sentence of the refusal.
std::string verdict(const Try<void>& tried)
{
    if (tried)
        return "ok";
    return tried.error().code == ErrorCode::refused ? "refused" : tried.error().message;
}

TEST_CASE("rights decide what another user may do by name")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = daemon.client();
    const auto [rights, waits, sets] = GENERATE(table<std::string, std::string, std::string>({
        {"0666", "ok", "ok"},
        {"0664", "ok", "refused"},
        {"0662", "refused", "ok"},
        {"0660", "refused", "refused"},
        {"0006", "ok", "ok"},
    }));
    REQUIRE(client.create("e", {.initial = 1, .rights = Rights::parse(rights)}));
    as_stranger([&] {
        const std::vector names{"e"s};
        const auto its = daemon.client();
        require(verdict(only_error(its.wait(names, {.timeout = 0ns}))) == waits, "wait");
        require(verdict(its.set(names)) == sets, "set");
        require(verdict(its.clear(names)) == sets, "clear");
        require(verdict(its.remove(names)) == "refused", "delete");
        require(verdict(its.set_rights("e", *Rights::parse("0666"))) == "refused", "rights");
        // Who may set it sees that it is there; its state is for who may wait.
        const bool sees = waits == "ok" || sets == "ok";
        const auto object = its.show("e");
        require(verdict(only_error(object)) == (sees ? "ok" : "refused"), "show");
        if (!sees)
            return;
        require(object->is_set.has_value() == (waits == "ok"), "state");
        require(object->count.has_value() == (waits == "ok"), "count");
    });
    CHECK(client.remove(std::vector{"e"s}));
}

TEST_CASE("who may only read another's lock looks at it, and cannot take it away")
{
    skip_unless_root();
    const auto mode = GENERATE("auto"s, "semaphore"s);
    const Daemon daemon;
    daemon.done({"create", "lock", "--mode", mode, "--initial", "1", "--rights", "0644"});
    CHECK(as_stranger(daemon, {"is-set", "lock"}).status == 0);
    for (const auto& words : {std::vector{"wait"s, "lock"s, "--timeout"s, "0"s},
                              std::vector{"wait"s, "--any"s, "lock"s, "other"s, "--timeout"s, "0"s},
                              std::vector{"hold"s, "lock"s, "--timeout"s, "0"s, "--"s, "true"s},
                              std::vector{"on"s, "lock"s, "--once"s, "--"s, "true"s}}) {
        const auto refused = as_stranger(daemon, words);
        INFO(refused.err);
        CHECK(refused.status == 4);
        CHECK(refused.err.contains("ask its owner for the w right"));
    }
    CHECK(daemon.ctl({"hold", "lock", "--timeout", "0", "--", "true"}).status == 0);
    daemon.done({"rights", "lock", "0666"});
    CHECK(as_stranger(daemon, {"wait", "lock", "--timeout", "0"}).status == 0);
}

TEST_CASE("who waits to take is refused when the right for it is taken away")
{
    skip_unless_root();
    const Daemon daemon;
    daemon.done({"create", "lock", "--mode", "auto", "--rights", "0666"});
    auto waiting = daemon.control({"wait", "lock"});
    waiting.user = User{stranger};
    Reading stranger_waits{waiting};
    REQUIRE(daemon.has_waits("lock", 1));
    daemon.done({"rights", "lock", "0644"});
    CHECK(stranger_waits.wait() == 4);
    CHECK(stranger_waits.errors().contains("needs r and w"));
}

TEST_CASE("the group's rights are for its members, whether first or supplementary")
{
    skip_unless_root();
    const Daemon daemon;
    auto create = daemon.control({"create", "e", "--rights", "0640"});
    create.in_child = [] { (void)!::setresgid(group, group, group); };
    REQUIRE(run(create).status == 0);

    const auto [first, second, may] = GENERATE(table<gid_t, gid_t, bool>({
        {group, stranger, true},
        {stranger, group, true},
        {stranger, stranger, false},
    }));
    auto is_set = daemon.control({"is-set", "e"});
    is_set.user = User{stranger, first, {second}};
    const auto ran = run(is_set);
    CHECK(ran.status == (may ? 1 : 4));
    if (!may)
        CHECK(ran.err.contains("ask its owner for the r right"));
}

TEST_CASE("evfdctl refuses with status 4 and one line that says whom to ask")
{
    skip_unless_root();
    const Daemon daemon;
    daemon.done({"create", "e", "--rights", "0600"});
    const std::vector<std::string> words =
        GENERATE(std::vector{"set"s, "e"s}, std::vector{"clear"s, "e"s},
                 std::vector{"delete"s, "e"s}, std::vector{"wait"s, "e"s},
                 std::vector{"is-set"s, "e"s}, std::vector{"rights"s, "e"s, "0666"s});
    const auto ran = as_stranger(daemon, words);
    INFO(ran.err);
    CHECK(ran.status == 4);
    CHECK(ran.out.empty());
    CHECK(std::ranges::count(ran.err, '\n') == 1);
    CHECK(ran.err.contains("'e'"));
    CHECK(must(daemon.client().show("e")).rights == *Rights::parse("0600"));
}

TEST_CASE("an owner may delete and change the rights whatever they are and root may all")
{
    skip_unless_root();
    const Daemon daemon;
    as_stranger([&] {
        const auto its = daemon.client();
        must(its.create("e", {.rights = Rights::parse("0000")}));
        must(its.create("f", {.rights = Rights::parse("0000")}));
        require(verdict(its.set(std::vector{"e"s})) == "refused", "it has no right to set");
        must(its.set_rights("e", *Rights::parse("0600")));
        must(its.set(std::vector{"e"s}));
        must(its.remove(std::vector{"e"s}));
    });
    const auto client = daemon.client();
    const auto object = must(client.show("f"));
    CHECK(object.owner_uid == stranger);
    CHECK(object.group_gid == stranger);
    CHECK(client.set(std::vector{"f"s}));
    CHECK(must(must(client.open("f")).wait(0ns)) == 1);
    CHECK(client.remove(std::vector{"f"s}));
}

TEST_CASE("who waits for a name that comes without his right to wait is refused then")
{
    skip_unless_root();
    const Daemon daemon;
    Worker worker{[&](const Line&) {
        become_stranger();
        const auto refused = daemon.client().wait(std::vector{"later"s});
        require(!refused && refused.error().code == ErrorCode::refused, "not refused");
    }};
    REQUIRE(daemon.has_waits("later", 1));
    daemon.done({"create", "later", "--rights", "0660"});
    CHECK(worker.wait() == 0);
}

TEST_CASE("whoever has a descriptor keeps it when the rights change and who opens then has not")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.rights = Rights::parse("0666")}));
    Worker worker{[&](const Line& line) {
        become_stranger();
        const auto its = daemon.client();
        const auto event = must(its.open("e"));
        line.say(0);
        line.hear();
        must(event.set());
        require(!its.open("e"), "opened without a right");
    }};
    worker.hear();
    REQUIRE(client.set_rights("e", *Rights::parse("0600")));
    worker.say(0);
    CHECK(worker.wait() == 0);
    CHECK(must(client.show("e")).is_set == true);
}

TEST_CASE("a monitor tells another user only what he may know")
{
    skip_unless_root();
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("secret", {.rights = Rights::parse("0600")}));
    REQUIRE(client.create("shown", {.rights = Rights::parse("0644")}));
    Worker worker{[&](const Line& line) {
        become_stranger();
        (void)daemon.client().monitor("", [&](protocol::Monitor::Reply& news) {
            if (news.change == Change::ready) {
                line.say(0);
                return true;
            }
            require(news.name->text() == "shown", "told of a secret");
            require(news.object->is_set.has_value(), "wrong state");
            return news.change != Change::changed;
        });
    }};
    worker.hear();
    REQUIRE(client.set(std::vector{"secret"s}));
    REQUIRE(client.set(std::vector{"shown"s}));
    CHECK(worker.wait() == 0);
}

TEST_CASE("one user's limit is not another's")
{
    skip_unless_root();
    const Daemon daemon;
    as_stranger([&] {
        std::vector<Wire> monitors;
        for (int i = 0; i < 65; ++i) {
            monitors.emplace_back(daemon.path()).call("Monitor", Json::object(), "more");
            const auto reply = monitors.back().reply();
            require(reply.contains("error") == (i == 64), "wrong limit");
        }
        Wire own{daemon.path()};
        own.call("Monitor", Json::object(), "more");
        require(own.reply()["error"] == "io.evfdd.QuotaExceeded", "no limit");
    });
    Wire wire{daemon.path()};
    wire.call("Monitor", Json::object(), "more");
    CHECK(wire.reply()["parameters"]["change"] == "ready");
}

} // namespace
} // namespace evfd::e2e
