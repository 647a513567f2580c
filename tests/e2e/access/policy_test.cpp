// Tests of the policy, which says which user may do what with which names. The tests run programs
// as several users, so they need root.
#include "tests/paths.h"
#include "tests/support/configured_daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

const uid_t other_uid = unprivileged_uid + 1; // No rule of the policy names this user.

const User denied_user{unprivileged_uid};
const User other_user{other_uid};
const User root{0};

// Runs evfdctl as the user. Returns "0", or the exit status and the error message.
std::string ctl_as(const DaemonProcess& daemon, const User& user, std::vector<std::string> words)
{
    auto command = daemon.ctl_command(std::move(words));
    command.user = user;
    const auto ran = run(command);
    return ran.status == 0 ? "0" : fmt::format("{} {}", ran.status, ran.err);
}

bool is_policy_refusal(std::string_view output)
{
    return output.starts_with("4 ") &&
           output.contains("the policy of this machine does not let you") &&
           output.contains("ask the administrator");
}

// Returns a policy that denies the operations in `verbs` to the unprivileged user, for names that
// begin with `prefix`. The policy has no rule for other users.
std::string deny_rule(std::string_view prefix, std::string_view verbs)
{
    return fmt::format(
        R"({{"policy": {{"rules": [{{"prefix": "{}", "user": {}, "deny": [{}]}}]}}}})", prefix,
        unprivileged_uid, verbs);
}

constexpr auto every_verb = R"("create", "wait", "set", "delete")";

TEST_CASE("a verb that the policy denies to one user is refused with status 4 to that user alone")
{
    skip_unless_root();
    const auto [verb, words] = GENERATE(table<std::string, std::vector<std::string>>({
        {"create", {"create", "db/x"}},
        {"create", {"arm", "db/x", "--in", "1h"}},
        {"wait", {"wait", "db/e", "--timeout", "0"}},
        {"wait", {"wait", "db/e", "more", "--any", "--timeout", "0"}},
        {"set", {"set", "db/e"}},
        {"set", {"clear", "db/e"}},
        {"set", {"arm", "db/t", "--in", "1h"}},
        {"set", {"disarm", "db/t"}},
        {"set", {"arm", "web", "--in", "1h", "--sets", "db/e"}},
        {"delete", {"delete", "db/own"}},
        {"delete", {"chmod", "db/own", "0600"}},
    }));
    const auto is_denied = GENERATE(true, false);
    // All operations except `verb`, as the elements of a list in JSON, for deny_rule().
    std::string others;
    for (const auto* one : {"create", "wait", "set", "delete"})
        if (one != verb)
            others += fmt::format("{}\"{}\"", others.empty() ? "" : ", ", one);
    INFO(verb << " by " << words.front() << (is_denied ? ", denied" : ", all else denied"));
    ReloadableDaemon configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--initial", "1", "--permissions", "0666"});
    daemon.checked_ctl({"arm", "db/t", "--in", "1h", "--permissions", "0666"});
    for (const auto& user : {denied_user, other_user})
        REQUIRE(ctl_as(daemon, user, {"create", fmt::format("db/{}", user.uid)}) == "0");
    // The name of the object that the user created is "db/" and the uid. Returns the words with
    // this name in the place of "db/own".
    const auto words_of = [&](const User& user) {
        auto own = words;
        for (auto& word : own)
            if (word == "db/own")
                word = fmt::format("db/{}", user.uid);
        return own;
    };
    configured.reload(deny_rule("db/", is_denied ? "\"" + verb + "\"" : others), reload_succeeded);

    const auto ours = ctl_as(daemon, denied_user, words_of(denied_user));
    INFO(ours);
    CHECK(is_policy_refusal(ours) == is_denied);
    CHECK((ours == "0") == !is_denied);
    if (words.front() == "create" || verb == "create")
        daemon.ctl({"delete", "db/x"});
    if (words.back() == "db/e" && words.front() == "arm")
        daemon.ctl({"delete", "web"});
    daemon.checked_ctl({"set", "db/e"});
    CHECK(ctl_as(daemon, other_user, words_of(other_user)) == "0");
}

TEST_CASE("a call that the policy refuses changes nothing")
{
    skip_unless_root();
    ReloadableDaemon configured{deny_rule("db/", every_verb)};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--permissions", "0666"});
    daemon.checked_ctl({"create", "other", "--permissions", "0666"});
    daemon.checked_ctl({"arm", "db/t", "--in", "1h", "--permissions", "0666"});
    const auto before = value_or_throw(daemon.client().show("db/t")).timer->next;
    for (const auto& words :
         std::vector<std::vector<std::string>>{{"create", "db/x"},
                                               {"arm", "db/x", "--in", "1h"},
                                               {"set", "db/e"},
                                               {"set", "other", "db/e"},
                                               {"arm", "db/t", "--in", "2h"},
                                               {"disarm", "db/t"},
                                               {"arm", "web", "--in", "1h", "--sets", "db/e"}}) {
        const auto output = ctl_as(daemon, denied_user, words);
        INFO(output);
        CHECK(is_policy_refusal(output));
    }
    const auto client = daemon.client();
    CHECK(client.show("db/x").error().code == ErrorCode::no_such_name);
    CHECK(client.show("web").error().code == ErrorCode::no_such_name);
    CHECK(value_or_throw(client.show("db/e")).is_set == false);
    CHECK(value_or_throw(client.show("other")).is_set == false);
    CHECK(value_or_throw(client.show("db/t")).timer->next == before);
}

TEST_CASE(
    "a user without the policy's wait permission sees no state and may not wait for a future name")
{
    skip_unless_root();
    ReloadableDaemon configured{deny_rule("db/", "\"wait\"")};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--initial", "1", "--permissions", "0666"});
    daemon.checked_ctl({"create", "web", "--initial", "1", "--permissions", "0666"});
    Worker worker{[&](const WorkerSocket&) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        std::size_t seen = 0;
        value_or_throw(worker_client.list("", [&](protocol::Object& object) {
            const bool is_hidden = object.name.text() == "db/e";
            require(object.is_set.has_value() == !is_hidden, "the state is listed wrongly");
            require(object.count.has_value() == !is_hidden, "the count is listed wrongly");
            ++seen;
        }));
        require(seen == 2, "not all objects are listed");
        require(!value_or_throw(worker_client.show("db/e")).is_set, "the state is shown");
        const auto event = value_or_throw(worker_client.open("db/e"));
        require(!event.access().wait && event.access().set, "opened");
        value_or_throw(event.clear());
        value_or_throw(event.set());
        for (const auto* name : {"db/e", "db/later"}) {
            const auto refused = worker_client.wait(std::vector{std::string{name}});
            require(!refused && refused.error().code == ErrorCode::refused, name);
            require(refused.error().message.contains("the policy"), refused.error().message);
        }
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("a policy rule for a group applies to members, whether primary or supplementary")
{
    skip_unless_root();
    const gid_t group = unprivileged_uid + 7;
    const ReloadableDaemon configured{fmt::format(R"({{"policy": {{"default": "deny", "rules": [
        {{"prefix": "db/", "group": {}, "allow": ["create"]}}]}}}})",
                                                  group)};
    const auto [user, may] = GENERATE_COPY(table<User, bool>({
        {{unprivileged_uid, group}, true},
        {{unprivileged_uid, unprivileged_uid, {4, group, 5}}, true},
        {{unprivileged_uid, unprivileged_uid, {4, 5}}, false},
        // The gid in the rule equals the uid of this user. The user is in no group with that gid,
        // so the rule does not match.
        {{group, unprivileged_uid}, false},
        {{0, 0}, true},
    }));
    const auto output = ctl_as(configured.daemon, user, {"create", "db/e"});
    INFO(output);
    CHECK((may ? output == "0" : is_policy_refusal(output)));
}

TEST_CASE(
    "names below user/UID are reserved for that user and root, whatever rules and permissions say")
{
    skip_unless_root();
    const auto* const rules = GENERATE(
        "{}", R"({"policy": {"default": "deny"}})",
        R"({"policy": {"rules": [{"prefix": "", "allow": ["create", "wait", "set", "delete"]}]}})");
    const ReloadableDaemon configured{rules};
    const auto& daemon = configured.daemon;
    const auto mine = fmt::format("user/{}/x", unprivileged_uid);
    const auto created =
        ctl_as(daemon, denied_user, {"create", mine, "--initial", "1", "--permissions", "0666"});
    CHECK(created == "0");
    const User in_our_group{other_uid, unprivileged_uid, {unprivileged_uid}};
    for (const auto& user : {other_user, in_our_group})
        for (const auto& words : std::vector<std::vector<std::string>>{
                 {"create", mine + "/y"},
                 {"arm", mine + "/y", "--in", "1h"},
                 {"wait", mine},
                 {"wait", mine + "/later"},
                 {"set", mine},
                 {"clear", mine},
                 {"delete", mine},
                 {"create", "user/abc"},
                 {"create", fmt::format("user/0{}/x", other_uid)}}) {
            const auto output = ctl_as(daemon, user, words);
            INFO(output);
            CHECK(output.starts_with("4 "));
            CHECK(output.contains(fmt::format("names under 'user/{}/' are yours", other_uid)));
        }
    CHECK(ctl_as(daemon, other_user, {"create", fmt::format("user/{}/x", other_uid)}) == "0");
    for (const auto& user : {denied_user, root}) {
        CHECK(ctl_as(daemon, user, {"set", mine}) == "0");
        CHECK(ctl_as(daemon, user, {"wait", mine, "--timeout", "0"}) == "0");
    }
    CHECK(ctl_as(daemon, denied_user, {"delete", mine}) == "0");
    CHECK(ctl_as(daemon, root, {"create", "user/abc"}) == "0");
}

TEST_CASE("a reload of the policy ends the waits that it forbids and no others")
{
    skip_unless_root();
    ReloadableDaemon configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--mode", "auto", "--permissions", "0666"});
    const auto waiting = [&](const User& user, std::string name) {
        auto command = daemon.ctl_command({"wait", "--any", std::move(name), "never"});
        command.user = user;
        return OutputReader{command};
    };
    auto ours = waiting(denied_user, "db/e");
    auto for_later = waiting(denied_user, "db/later");
    auto elsewhere = waiting(denied_user, "web");
    auto theirs = waiting(other_user, "db/e");
    // No object has the name "never". For such a name, has_waits() counts all waits of all clients.
    // There are 8 waits, because each of the four commands waits for two names.
    REQUIRE(daemon.has_waits("never", 8));

    configured.reload(deny_rule("db/", "\"wait\""), reload_succeeded);

    CHECK(ours.wait() == 4);
    CHECK(ours.errors().contains("the policy of this machine does not let you wait for 'db/e'"));
    CHECK(for_later.wait() == 4);
    REQUIRE(daemon.has_waits("never", 4));
    daemon.checked_ctl({"set", "db/e"});
    CHECK(theirs.wait() == 0);
    daemon.checked_ctl({"create", "web", "--initial", "1", "--permissions", "0666"});
    CHECK(elsewhere.wait() == 0);
}

TEST_CASE("a reload of the policy disables forbidden timer links, except those of declared timers")
{
    skip_unless_root();
    const auto declared = R"("events": [{"name": "db/declared", "mode": "semaphore", "owner": )" +
                          std::to_string(denied_user.uid) +
                          R"(}], "timers": [{"name": "t/declared", "every": "2ms", "owner": )" +
                          std::to_string(denied_user.uid) + R"(, "sets": "db/declared"}])";
    ReloadableDaemon configured{"{" + declared + "}"};
    const auto& daemon = configured.daemon;
    const auto client = daemon.client();
    daemon.checked_ctl({"create", "db/e", "--mode", "semaphore", "--permissions", "0666"});
    CHECK(ctl_as(daemon, denied_user, {"arm", "t/ours", "--every", "2ms", "--sets", "db/e"}) ==
          "0");
    REQUIRE(client.wait(std::vector{"db/e"s}, {.timeout = default_timeout}));

    configured.reload("{" + declared +
                          R"(, "policy": {"rules": [{"prefix": "db/", "deny": ["set"]}]}})",
                      reload_succeeded);

    const auto before = value_or_throw(client.show("db/e")).count;
    REQUIRE(client.clear(std::vector{"db/declared"s}));
    REQUIRE(client.wait(std::vector{"t/ours"s}, {.timeout = default_timeout, .count = 5}));
    CHECK(value_or_throw(client.show("db/e")).count == before);
    CHECK(value_or_throw(client.show("t/ours")).timer->is_target_denied == true);
    CHECK(client.wait(std::vector{"db/declared"s}, {.timeout = default_timeout}));
    CHECK(value_or_throw(client.show("t/declared")).timer->is_target_denied == false);
}

TEST_CASE("a policy that grants only wait lets a user see a lock and not consume it")
{
    skip_unless_root();
    ReloadableDaemon configured{R"({"policy": {"default": "deny", "rules": [
        {"prefix": "db/", "allow": ["wait"]}, {"prefix": "db/both", "allow": ["set"]}]}})"};
    const auto& daemon = configured.daemon;
    for (const auto* name : {"db/lock", "db/both"})
        daemon.checked_ctl(
            {"create", name, "--mode", "auto", "--initial", "1", "--permissions", "0666"});
    daemon.checked_ctl({"create", "db/ready", "--initial", "1", "--permissions", "0666"});
    CHECK(ctl_as(daemon, denied_user, {"is-set", "db/lock"}) == "0");
    CHECK(ctl_as(daemon, denied_user, {"wait", "db/ready", "--timeout", "0"}) == "0");
    const auto output = ctl_as(daemon, denied_user, {"wait", "db/lock", "--timeout", "0"});
    CHECK(output.contains("the policy of this machine does not let you take from 'db/lock'"));
    CHECK(ctl_as(daemon, denied_user, {"wait", "db/both", "--timeout", "0"}) == "0");
}

TEST_CASE("a reload of the policy applies to later calls, and open descriptors stay usable")
{
    skip_unless_root();
    ReloadableDaemon configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--permissions", "0666"});
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        const auto worker_client = daemon.client();
        const auto event = value_or_throw(worker_client.open("db/e"));
        parent.send(0);
        parent.receive();
        value_or_throw(event.set());
        require(worker_client.set(std::vector{"db/e"s}).error().code == ErrorCode::refused, "set");
        require(worker_client.open("db/e").error().code == ErrorCode::refused, "open");
        require(worker_client.create("db/x").error().code == ErrorCode::refused, "create");
        parent.send(0);
        parent.receive();
        value_or_throw(worker_client.set(std::vector{"db/e"s}));
        value_or_throw(worker_client.create("db/x"));
    }};
    worker.receive();
    configured.reload(deny_rule("db/", every_verb), reload_succeeded);
    worker.send(0);
    worker.receive();
    CHECK(value_or_throw(daemon.client().show("db/e")).is_set == true);
    configured.reload(R"({"policy": {"default": "denied"}})",
                      // The daemon rejects the file, so the previous policy stays in force.
                      reload_failed);
    CHECK(configured.daemon.log().contains(configured.file + ":1: policy.default: "));
    CHECK(is_policy_refusal(ctl_as(daemon, denied_user, {"create", "db/y"})));
    configured.reload("{}", reload_succeeded);
    worker.send(0);
    CHECK(worker.wait() == 0);
}

TEST_CASE("a monitor reports when a reload of the policy hides or shows an object's state")
{
    skip_unless_root();
    ReloadableDaemon configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "db/e", "--permissions", "0666"});
    daemon.checked_ctl({"create", "web", "--permissions", "0666"});
    Worker worker{[&](const WorkerSocket& parent) {
        become_unprivileged();
        int changes = 0;
        (void)daemon.client().monitor("", [&](protocol::Monitor::Reply& update) {
            if (update.change == Change::ready)
                parent.send(0);
            if (update.change != Change::changed)
                return true;
            require(update.name->text() == "db/e", "an unchanged object was reported");
            require(update.object->is_set.has_value() == (changes == 1),
                    "the state does not follow the policy");
            parent.send(0);
            return ++changes < 2;
        });
    }};
    worker.receive();
    configured.reload(deny_rule("db/", "\"wait\""), reload_succeeded);
    worker.receive();
    // The policy now forbids the user of the monitor to wait for "db/e". The monitor therefore does
    // not report this set.
    daemon.checked_ctl({"set", "db/e"});
    configured.reload("{}", reload_succeeded);
    worker.receive();
    CHECK(worker.wait() == 0);
}

TEST_CASE("a declared object is created whatever the policy says")
{
    skip_unless_root();
    const ReloadableDaemon configured{R"({
        "policy": {"default": "deny"},
        "events": [{"name": "db/e", "owner": 60601}, {"name": "user/60601/e", "owner": 60602}],
        "timers": [{"name": "db/t", "every": "1h", "sets": "db/e", "owner": 60601}]
    })"};
    const auto client = configured.daemon.client();
    CHECK(value_or_throw(client.show("db/e")).owner_uid == 60601);
    CHECK(value_or_throw(client.show("user/60601/e")).owner_uid == 60602);
    CHECK(value_or_throw(client.show("db/t")).timer->sets->text() == "db/e");
}

TEST_CASE(
    "a user's own daemon does not apply the machine's policy to its owner, and refuses other users")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    write_file(directory / "evfdd.json", R"({"policy": {"default": "deny"}})");
    std::filesystem::permissions(directory / "", std::filesystem::perms{0755});
    const DaemonProcess daemon{{"--config", directory / "evfdd.json", "--socket-mode", "0666"},
                               {.argv = {}, .user = denied_user}};

    const auto created = ctl_as(daemon, denied_user, {"create", "e"});
    CHECK(created == "0");
    CHECK(ctl_as(daemon, denied_user, {"set", "e"}) == "0");
    CHECK(is_policy_refusal(ctl_as(daemon, other_user, {"create", "other"})));
    CHECK(is_policy_refusal(ctl_as(daemon, other_user, {"set", "e"})));
}

TEST_CASE("the policy is in force again after the daemon was killed")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, deny_rule("db/", every_verb));
    const SupervisedDaemon supervised{{"--config", file}};
    supervised.checked_ctl({"create", "db/e", "--permissions", "0666"});
    supervised.kill_daemon();
    const auto output = ctl_as(supervised, denied_user, {"set", "db/e"});
    INFO(output);
    CHECK(is_policy_refusal(output));
    CHECK(value_or_throw(supervised.client().show("db/e")).is_set == false);
}

TEST_CASE("an invalid policy is reported with file, line and key")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, "{\"policy\": {\"rules\": [\n{\"prefix\": \"db/\", \"user\": -1,\n"
                     "\"deny\": [\"create\"]}]}}");
    const auto ran = run({.argv = {EVFDD_DAEMON, "--check-config", file}});
    CHECK(ran.status == 1);
    CHECK(ran.err == file + ":2: policy.rules[0].user: -1 is not valid; give the name of an "
                            "existing user, or a number\n");
}

} // namespace
} // namespace evfd::e2e
