// A policy for names, as the programs of several users meet it. Which only root can be.
#include "tests/support/configured_daemon.h"
#include "tests/paths.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace evfd::e2e {
namespace {

const uid_t neighbour = stranger + 1; // Of whom no rule speaks.

const User us{stranger};
const User them{neighbour};
const User root{0};

// What evfdctl does for the user: "0", or its status and what it said.
std::string ctl_as(const Daemon& daemon, const User& user, std::vector<std::string> words)
{
    auto command = daemon.control(std::move(words));
    command.user = user;
    const auto ran = run(command);
    return ran.status == 0 ? "0" : fmt::format("{} {}", ran.status, ran.err);
}

bool is_by_policy(std::string_view told)
{
    return told.starts_with("4 ") && told.contains("the policy of this machine does not let you") &&
           told.contains("ask the administrator");
}

// Of those who are not the stranger nobody is spoken of.
std::string denying(std::string_view prefix, std::string_view verbs)
{
    return fmt::format(
        R"({{"policy": {{"rules": [{{"prefix": "{}", "user": {}, "deny": [{}]}}]}}}})", prefix,
        stranger, verbs);
}

constexpr auto every_verb = R"("create", "wait", "set", "delete")";

TEST_CASE("each verb is refused with status 4 to whom the policy denies it, and to nobody else")
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
        {"delete", {"rights", "db/own", "0600"}},
    }));
    const auto is_denied = GENERATE(true, false);
    std::string others; // All but the verb.
    for (const auto* one : {"create", "wait", "set", "delete"})
        if (one != verb)
            others += fmt::format("{}\"{}\"", others.empty() ? "" : ", ", one);
    INFO(verb << " by " << words.front() << (is_denied ? ", denied" : ", all else denied"));
    Configured configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--initial", "1", "--rights", "0666"});
    daemon.done({"arm", "db/t", "--in", "1h", "--rights", "0666"});
    for (const auto& user : {us, them})
        REQUIRE(ctl_as(daemon, user, {"create", fmt::format("db/{}", user.uid)}) == "0");
    // Each has a "db/own" of one's own.
    const auto its = [&](const User& user) {
        auto own = words;
        for (auto& word : own)
            if (word == "db/own")
                word = fmt::format("db/{}", user.uid);
        return own;
    };
    configured.reload(denying("db/", is_denied ? "\"" + verb + "\"" : others), taken);

    const auto ours = ctl_as(daemon, us, its(us));
    INFO(ours);
    CHECK(is_by_policy(ours) == is_denied);
    CHECK((ours == "0") == !is_denied);
    if (words.front() == "create" || verb == "create")
        daemon.ctl({"delete", "db/x"});
    if (words.back() == "db/e" && words.front() == "arm")
        daemon.ctl({"delete", "web"});
    daemon.done({"set", "db/e"});
    CHECK(ctl_as(daemon, them, its(them)) == "0");
}

TEST_CASE("what is refused by the policy is not done")
{
    skip_unless_root();
    Configured configured{denying("db/", every_verb)};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--rights", "0666"});
    daemon.done({"create", "other", "--rights", "0666"});
    daemon.done({"arm", "db/t", "--in", "1h", "--rights", "0666"});
    const auto before = must(daemon.client().show("db/t")).timer->next;
    for (const auto& words :
         std::vector<std::vector<std::string>>{{"create", "db/x"},
                                               {"arm", "db/x", "--in", "1h"},
                                               {"set", "db/e"},
                                               {"set", "other", "db/e"},
                                               {"arm", "db/t", "--in", "2h"},
                                               {"disarm", "db/t"},
                                               {"arm", "web", "--in", "1h", "--sets", "db/e"}}) {
        const auto told = ctl_as(daemon, us, words);
        INFO(told);
        CHECK(is_by_policy(told));
    }
    const auto client = daemon.client();
    CHECK(client.show("db/x").error().code == ErrorCode::no_such_name);
    CHECK(client.show("web").error().code == ErrorCode::no_such_name);
    CHECK(must(client.show("db/e")).is_set == false);
    CHECK(must(client.show("other")).is_set == false);
    CHECK(must(client.show("db/t")).timer->next == before);
}

TEST_CASE("who may not wait by the policy sees no state, and is refused before the name is there")
{
    skip_unless_root();
    Configured configured{denying("db/", "\"wait\"")};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--initial", "1", "--rights", "0666"});
    daemon.done({"create", "web", "--initial", "1", "--rights", "0666"});
    Worker worker{[&](const Line&) {
        become_stranger();
        const auto its = daemon.client();
        std::size_t seen = 0;
        must(its.list("", [&](protocol::Object& object) {
            const bool is_hidden = object.name.text() == "db/e";
            require(object.is_set.has_value() == !is_hidden, "listed");
            require(object.count.has_value() == !is_hidden, "listed with its count");
            ++seen;
        }));
        require(seen == 2, "not all are listed");
        require(!must(its.show("db/e")).is_set, "shown");
        const auto event = must(its.open("db/e"));
        require(!event.access().wait && event.access().set, "opened");
        must(event.clear());
        must(event.set());
        for (const auto* name : {"db/e", "db/later"}) {
            const auto refused = its.wait(std::vector{std::string{name}});
            require(!refused && refused.error().code == ErrorCode::refused, name);
            require(refused.error().message.contains("the policy"), refused.error().message);
        }
    }};
    CHECK(worker.wait() == 0);
}

TEST_CASE("a rule for a group is for its members, whether first or supplementary")
{
    skip_unless_root();
    const gid_t group = stranger + 7;
    const Configured configured{fmt::format(R"({{"policy": {{"default": "deny", "rules": [
        {{"prefix": "db/", "group": {}, "allow": ["create"]}}]}}}})",
                                            group)};
    const auto [user, may] = GENERATE_COPY(table<User, bool>({
        {{stranger, group}, true},
        {{stranger, stranger, {4, group, 5}}, true},
        {{stranger, stranger, {4, 5}}, false},
        {{group, stranger}, false}, // A user of that number is no member.
        {{0, 0}, true},
    }));
    const auto told = ctl_as(configured.daemon, user, {"create", "db/e"});
    INFO(told);
    CHECK((may ? told == "0" : is_by_policy(told)));
}

TEST_CASE("what is below user is for its user and root alone, whatever the rules and rights are")
{
    skip_unless_root();
    const auto* const rules = GENERATE(
        "{}", R"({"policy": {"default": "deny"}})",
        R"({"policy": {"rules": [{"prefix": "", "allow": ["create", "wait", "set", "delete"]}]}})");
    const Configured configured{rules};
    const auto& daemon = configured.daemon;
    const auto mine = fmt::format("user/{}/x", stranger);
    const auto made = ctl_as(daemon, us, {"create", mine, "--initial", "1", "--rights", "0666"});
    CHECK(made == "0");
    const User in_our_group{neighbour, stranger, {stranger}};
    for (const auto& user : {them, in_our_group})
        for (const auto& words : std::vector<std::vector<std::string>>{
                 {"create", mine + "/y"},
                 {"arm", mine + "/y", "--in", "1h"},
                 {"wait", mine},
                 {"wait", mine + "/later"},
                 {"set", mine},
                 {"clear", mine},
                 {"delete", mine},
                 {"create", "user/abc"},
                 {"create", fmt::format("user/0{}/x", neighbour)}}) {
            const auto told = ctl_as(daemon, user, words);
            INFO(told);
            CHECK(told.starts_with("4 "));
            CHECK(told.contains(fmt::format("names under 'user/{}/' are yours", neighbour)));
        }
    CHECK(ctl_as(daemon, them, {"create", fmt::format("user/{}/x", neighbour)}) == "0");
    for (const auto& user : {us, root}) {
        CHECK(ctl_as(daemon, user, {"set", mine}) == "0");
        CHECK(ctl_as(daemon, user, {"wait", mine, "--timeout", "0"}) == "0");
    }
    CHECK(ctl_as(daemon, us, {"delete", mine}) == "0");
    CHECK(ctl_as(daemon, root, {"create", "user/abc"}) == "0");
}

TEST_CASE("a reload ends the waits that the new policy does not allow, and leaves the others")
{
    skip_unless_root();
    Configured configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--mode", "auto", "--rights", "0666"});
    const auto waiting = [&](const User& user, std::string name) {
        auto command = daemon.control({"wait", "--any", std::move(name), "never"});
        command.user = user;
        return Reading{command};
    };
    auto ours = waiting(us, "db/e");
    auto for_later = waiting(us, "db/later");
    auto elsewhere = waiting(us, "web");
    auto theirs = waiting(them, "db/e");
    REQUIRE(daemon.has_waits("never", 8)); // It is not there, so the sum is told.

    configured.reload(denying("db/", "\"wait\""), taken);

    CHECK(ours.wait() == 4);
    CHECK(ours.errors().contains("the policy of this machine does not let you wait for 'db/e'"));
    CHECK(for_later.wait() == 4);
    REQUIRE(daemon.has_waits("never", 4));
    daemon.done({"set", "db/e"});
    CHECK(theirs.wait() == 0);
    daemon.done({"create", "web", "--initial", "1", "--rights", "0666"});
    CHECK(elsewhere.wait() == 0);
}

TEST_CASE(
    "a reload ends what a timer may not set any more, but for what the configuration declares")
{
    skip_unless_root();
    const auto declared = R"("events": [{"name": "db/declared", "mode": "semaphore", "owner": )" +
                          std::to_string(us.uid) +
                          R"(}], "timers": [{"name": "t/declared", "every": "2ms", "owner": )" +
                          std::to_string(us.uid) + R"(, "sets": "db/declared"}])";
    Configured configured{"{" + declared + "}"};
    const auto& daemon = configured.daemon;
    const auto client = daemon.client();
    daemon.done({"create", "db/e", "--mode", "semaphore", "--rights", "0666"});
    CHECK(ctl_as(daemon, us, {"arm", "t/ours", "--every", "2ms", "--sets", "db/e"}) == "0");
    REQUIRE(client.wait(std::vector{"db/e"s}, {.timeout = patience}));

    configured.reload(
        "{" + declared + R"(, "policy": {"rules": [{"prefix": "db/", "deny": ["set"]}]}})", taken);

    const auto before = must(client.show("db/e")).count;
    REQUIRE(client.clear(std::vector{"db/declared"s}));
    REQUIRE(client.wait(std::vector{"t/ours"s}, {.timeout = patience, .count = 5}));
    CHECK(must(client.show("db/e")).count == before);
    CHECK(must(client.show("t/ours")).timer->is_link_denied == true);
    CHECK(client.wait(std::vector{"db/declared"s}, {.timeout = patience}));
    CHECK(must(client.show("t/declared")).timer->is_link_denied == false);
}

TEST_CASE("a policy that lets one wait only lets one look at a lock, and not take it")
{
    skip_unless_root();
    Configured configured{R"({"policy": {"default": "deny", "rules": [
        {"prefix": "db/", "allow": ["wait"]}, {"prefix": "db/both", "allow": ["set"]}]}})"};
    const auto& daemon = configured.daemon;
    for (const auto* name : {"db/lock", "db/both"})
        daemon.done({"create", name, "--mode", "auto", "--initial", "1", "--rights", "0666"});
    daemon.done({"create", "db/ready", "--initial", "1", "--rights", "0666"});
    CHECK(ctl_as(daemon, us, {"is-set", "db/lock"}) == "0");
    CHECK(ctl_as(daemon, us, {"wait", "db/ready", "--timeout", "0"}) == "0");
    const auto told = ctl_as(daemon, us, {"wait", "db/lock", "--timeout", "0"});
    CHECK(told.contains("the policy of this machine does not let you take from 'db/lock'"));
    CHECK(ctl_as(daemon, us, {"wait", "db/both", "--timeout", "0"}) == "0");
}

TEST_CASE("a reload holds for what is asked from then on, and whoever has a descriptor keeps it")
{
    skip_unless_root();
    Configured configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--rights", "0666"});
    Worker worker{[&](const Line& line) {
        become_stranger();
        const auto its = daemon.client();
        const auto event = must(its.open("db/e"));
        line.say(0);
        line.hear();
        must(event.set());
        require(its.set(std::vector{"db/e"s}).error().code == ErrorCode::refused, "set");
        require(its.open("db/e").error().code == ErrorCode::refused, "open");
        require(its.create("db/x").error().code == ErrorCode::refused, "create");
        line.say(0);
        line.hear();
        must(its.set(std::vector{"db/e"s}));
        must(its.create("db/x"));
    }};
    worker.hear();
    configured.reload(denying("db/", every_verb), taken);
    worker.say(0);
    worker.hear();
    CHECK(must(daemon.client().show("db/e")).is_set == true);
    configured.reload(R"({"policy": {"default": "denied"}})", refused); // So the old one holds.
    CHECK(configured.daemon.log().contains(configured.file + ":1: policy.default: "));
    CHECK(is_by_policy(ctl_as(daemon, us, {"create", "db/y"})));
    configured.reload("{}", taken);
    worker.say(0);
    CHECK(worker.wait() == 0);
}

TEST_CASE("a monitor is told when a reload hides an object's state or shows it")
{
    skip_unless_root();
    Configured configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.done({"create", "db/e", "--rights", "0666"});
    daemon.done({"create", "web", "--rights", "0666"});
    Worker worker{[&](const Line& line) {
        become_stranger();
        int changes = 0;
        (void)daemon.client().monitor("", [&](protocol::Monitor::Reply& news) {
            if (news.change == Change::ready)
                line.say(0);
            if (news.change != Change::changed)
                return true;
            require(news.name->text() == "db/e", "told of what is as it was");
            require(news.object->is_set.has_value() == (changes == 1), "not as the policy says");
            line.say(0);
            return ++changes < 2;
        });
    }};
    worker.hear();
    configured.reload(denying("db/", "\"wait\""), taken);
    worker.hear();
    daemon.done({"set", "db/e"}); // Of which it hears nothing.
    configured.reload("{}", taken);
    worker.hear();
    CHECK(worker.wait() == 0);
}

TEST_CASE("what a configuration declares is there whatever its policy says")
{
    skip_unless_root();
    const Configured configured{R"({
        "policy": {"default": "deny"},
        "events": [{"name": "db/e", "owner": 60601}, {"name": "user/60601/e", "owner": 60602}],
        "timers": [{"name": "db/t", "every": "1h", "sets": "db/e", "owner": 60601}]
    })"};
    const auto client = configured.daemon.client();
    CHECK(must(client.show("db/e")).owner_uid == 60601);
    CHECK(must(client.show("user/60601/e")).owner_uid == 60602);
    CHECK(must(client.show("db/t")).timer->sets->text() == "db/e");
}

TEST_CASE("a daemon of one's own is not bound by the policy of the machine, but lets in no others")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    write_file(directory / "evfdd.json", R"({"policy": {"default": "deny"}})");
    std::filesystem::permissions(directory / "", std::filesystem::perms{0755});
    const Daemon daemon{{"--config", directory / "evfdd.json", "--socket-mode", "0666"},
                        {.words = {}, .user = us}};

    const auto made = ctl_as(daemon, us, {"create", "e"});
    CHECK(made == "0");
    CHECK(ctl_as(daemon, us, {"set", "e"}) == "0");
    CHECK(is_by_policy(ctl_as(daemon, them, {"create", "other"})));
    CHECK(is_by_policy(ctl_as(daemon, them, {"set", "e"})));
}

TEST_CASE("the policy holds again after the daemon was killed")
{
    skip_unless_root();
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, denying("db/", every_verb));
    const Guarded guarded{{"--config", file}};
    guarded.done({"create", "db/e", "--rights", "0666"});
    guarded.kill_daemon();
    const auto told = ctl_as(guarded, us, {"set", "db/e"});
    INFO(told);
    CHECK(is_by_policy(told));
    CHECK(must(guarded.client().show("db/e")).is_set == false);
}

TEST_CASE("what is wrong with a policy is said with file and line and key")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, "{\"policy\": {\"rules\": [\n{\"prefix\": \"db/\", \"user\": -1,\n"
                     "\"deny\": [\"create\"]}]}}");
    const auto ran = run({.words = {EVFDD_DAEMON, "--check-config", file}});
    CHECK(ran.status == 1);
    CHECK(ran.err == file + ":2: policy.rules[0].user: -1 is no user; give the name of one that "
                            "is there, or a number\n");
}

} // namespace
} // namespace evfd::e2e
