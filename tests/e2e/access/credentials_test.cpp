// A process that becomes another user and goes on using its client.
#include "client/core/connection_pool.h"
#include "tests/support/daemon_process.h"

#include <grp.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

void become_effectively(uid_t uid)
{
    require(::seteuid(uid) == 0, "cannot become another user");
}

void must_be_refused(const Try<void>& tried)
{
    require(!tried && tried.error().code == ErrorCode::refused, "not refused");
}

std::vector<std::string> one(const char* name)
{
    return {name};
}

TEST_CASE("a call is one of who the process is now")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line&) {
        const auto client = daemon.client();
        must(client.create(
            "roots", {.mode = Mode::semaphore, .initial = 2, .rights = Rights::parse("0600")}));
        must(client.wait(one("roots"))); // On a line of its own, which is kept for the next one.
        become_stranger();
        must_be_refused(client.remove(one("roots")));
        must_be_refused(client.set(one("roots")));
        must_be_refused(client.clear(one("roots")));
        const auto waited = client.wait(one("roots"), {.timeout = 0ns});
        require(!waited && waited.error().code == ErrorCode::refused, "not refused");
        must(client.create("its"));
    }};
    CHECK(child.wait() == 0);
    CHECK(must(daemon.client().show("roots")).count == 1);
    CHECK(must(daemon.client().show("its")).owner_uid == stranger);
}

TEST_CASE("a call is one of the groups that the process has now")
{
    skip_unless_root();
    const Daemon daemon;
    const gid_t group = stranger + 1;
    Worker child{[&](const Line&) {
        const auto client = daemon.client();
        require(::setgroups(1, &group) == 0 && ::setegid(group) == 0, "no group");
        must(client.create("shared", {.rights = Rights::parse("0660")}));
        require(::setegid(stranger) == 0, "no group");
        become_effectively(stranger);
        must(client.set(one("shared")));
        become_effectively(0);
        require(::setgroups(0, nullptr) == 0, "still a group");
        become_effectively(stranger);
        must_be_refused(client.set(one("shared")));
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("each of two users that a process is in turn has a connection, as long as it needs one")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line&) {
        const auto client = daemon.client();
        must(client.status());
        const auto before = must(client.status()).connections;
        const auto become_both = [&] {
            for (int i = 0; i < 3; ++i)
                for (const uid_t uid : {stranger, uid_t{0}}) {
                    become_effectively(uid);
                    must(client.status());
                }
        };
        become_both();
        require(eventually([&] { return must(client.status()).connections == before; }),
                "a connection is left");
        must(client.create("mine", {.lifetime = Lifetime::connection}));
        become_both();
        require(eventually([&] { return must(client.status()).connections == before; }),
                "a connection is left, though only one of them is needed");
        become_effectively(stranger);
        must(client.create("its", {.lifetime = Lifetime::connection}));
        become_both();
        require(must(client.status()).connections == before + 1, "not a connection for each");
        must(client.show("mine"));
    }};
    CHECK(child.wait() == 0);
    CHECK(eventually([&] { return must(daemon.client().status()).objects == 0; }));
}

// A process that is root, and in turn each of many users.
constexpr uid_t first_user = 1'500'000'000;

void act_as(uid_t user, const auto& act)
{
    become_effectively(user);
    act();
    become_effectively(0);
}

TEST_CASE("what a process opened and made as another user leaves no connection once it is gone")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line&) {
        const auto client = daemon.client();
        must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0666")}));
        const auto before = must(client.status()).connections;
        for (uid_t user = first_user; user < first_user + 5; ++user) {
            std::optional<Event> pulse;
            act_as(user, [&] {
                pulse.emplace(must(client.open("pulse")));
                pulse.reset();
                must(client.create("its", {.lifetime = Lifetime::connection}));
                must(client.remove(one("its")));
            });
            must(client.status());
            act_as(user, [&] {
                pulse.emplace(must(client.open("pulse")));
                must(client.create("its", {.lifetime = Lifetime::connection}));
            });
            require(eventually([&] { return must(client.status()).connections == before + 1; }),
                    "not what it has");
            must(client.remove(one("its")));
            pulse.reset();
        }
        require(eventually([&] { return must(client.status()).connections == before; }),
                "a connection is left");
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("a client keeps what was opened as so many former users, and no more")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line&) {
        const auto client = daemon.client();
        must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0666")}));
        const auto before = must(client.status()).connections;
        std::vector<Event> opened;
        for (uid_t i = 0; i <= max_former_lines; ++i)
            act_as(first_user + i, [&] { opened.push_back(must(client.open("pulse"))); });

        const auto status = client.status();
        const auto waited = client.wait(one("pulse"), {.timeout = 0ns});

        const auto is_refused = [](const auto& tried) {
            return !tried && tried.error().code == ErrorCode::refused && tried.error().is_limit &&
                   tried.error().message.contains("64 former users");
        };
        require(is_refused(status) && is_refused(waited), "not refused");
        act_as(first_user, [&] { must(client.status()); }); // One of them it is, as before.
        opened.pop_back();
        const auto all = before + static_cast<std::int64_t>(max_former_lines);
        require(eventually([&] { return must(client.status()).connections == all; }),
                "not a connection for each");
        must(client.set(one("pulse")));
        for (const auto& pulse : opened)
            require(must(pulse.wait(patience)) == 1, "no pulse");
    }};
    CHECK(child.wait() == 0);
}

TEST_CASE("what is held and followed goes on for who became another user")
{
    skip_unless_root();
    const Daemon daemon;
    Worker child{[&](const Line& line) {
        const auto client = daemon.client();
        must(client.create("jobs", {.mode = Mode::semaphore, .initial = 1}));
        must(client.create("pulse", {.mode = Mode::pulse, .rights = Rights::parse("0600")}));
        auto hold = must(client.hold("jobs"));
        const auto pulse = must(client.open("pulse"));
        become_stranger();
        require(must(client.show("jobs")).count == 0, "not held");
        line.say(0);
        require(must(pulse.wait(patience)) == 1, "no pulse");
        must(hold.give_back());
        require(must(client.show("jobs")).count == 1, "not given back");
    }};
    child.hear();
    must(daemon.client().set(one("pulse")));
    CHECK(child.wait() == 0);
}

TEST_CASE("what is temporary outlives a kill of the daemon for who takes the credentials back")
{
    skip_unless_root();
    const Guarded guarded;
    Worker child{[&](const Line&) {
        const auto client = guarded.client();
        must(client.create("mine",
                           {.rights = Rights::parse("0600"), .lifetime = Lifetime::connection}));
        become_effectively(stranger);
        must(client.status());
        guarded.kill_daemon();
        must(client.status());
        become_effectively(0);
        must(client.set(one("mine")));
    }};
    CHECK(child.wait() == 0);
    CHECK(eventually([&] { return must(guarded.client().status()).objects == 0; }));
}

} // namespace
} // namespace evfd::e2e
