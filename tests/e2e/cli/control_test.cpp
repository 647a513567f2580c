// Tests of the verbs of evfdctl, one by one.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace evfd::e2e {
namespace {

Json shown(const DaemonProcess& daemon, const std::string& name)
{
    return Json::parse(daemon.checked_ctl({"show", name, "--json"}));
}

// Parses the text, which must be exactly one line of JSON.
Json json_line(const std::string& text)
{
    INFO(text);
    REQUIRE(std::ranges::count(text, '\n') == 1);
    REQUIRE(text.ends_with('\n'));
    return Json::parse(text);
}

TEST_CASE("create makes an event with the given options")
{
    const DaemonProcess daemon;
    const auto [options, mode, count, permissions] =
        GENERATE(table<std::vector<std::string>, std::string, int, std::string>({
            {{"--permissions", "0600"}, "manual", 0, "0600"},
            {{"--permissions", "644", "--mode", "manual"}, "manual", 0, "0644"},
            {{"--permissions", "0000", "--initial", "1"}, "manual", 1, "0000"},
            {{"--permissions", "0666", "--mode", "auto", "--initial", "1"}, "auto", 1, "0666"},
            {{"--permissions", "0640", "--mode=semaphore", "--initial=7"}, "semaphore", 7, "0640"},
        }));
    auto words = std::vector{"create"s, "e"s};
    words.insert(words.end(), options.begin(), options.end());
    CHECK(daemon.checked_ctl(words).empty());
    const auto object = shown(daemon, "e");
    CHECK(object["mode"] == mode);
    CHECK(object["permissions"] == permissions);
    if (is_root() || permissions != "0000") {
        CHECK(object["count"] == count);
        CHECK(object["isSet"] == (count > 0));
    } else {
        // The permissions 0000 hide the state from every user except root, even from the owner.
        CHECK_FALSE(object.contains("count"));
        CHECK_FALSE(object.contains("isSet"));
    }
    CHECK(object["kind"] == "event");
    CHECK(object["name"] == "e");
    CHECK(object["lifetime"] == "permanent");
    CHECK(object["ownerUid"] == ::getuid());
    CHECK(object["groupGid"] == ::getgid());
    CHECK(object["waits"] == 0);
    CHECK_FALSE(object.contains("pulses"));
}

TEST_CASE("create without permissions uses 0666 without the bits of the umask")
{
    const DaemonProcess daemon;
    const auto [mask, permissions] =
        GENERATE(table<mode_t, std::string>({{022, "0644"}, {077, "0600"}, {0, "0666"}}));
    auto command = daemon.ctl_command({"create", "e"});
    command.in_child = [&] { ::umask(mask); };
    REQUIRE(run(command).status == 0);
    CHECK(shown(daemon, "e")["permissions"] == permissions);
}

TEST_CASE("show reports the creator of an object and the time of creation")
{
    const DaemonProcess daemon;
    const auto before = wall_now().time_since_epoch().count();
    auto creating = start(daemon.ctl_command({"create", "e"}));
    const auto pid = creating.pid();
    REQUIRE(creating.wait() == 0);
    const auto object = shown(daemon, "e");
    CHECK(object["creatorPid"] == pid);
    CHECK(object["createdNSec"] >= before);
    CHECK(object["createdNSec"] <= wall_now().time_since_epoch().count());
}

TEST_CASE("show reports who set an event last, and when")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    CHECK_FALSE(shown(daemon, "e").contains("lastSet"));
    const auto before = wall_now().time_since_epoch().count();
    auto setting = start(daemon.ctl_command({"set", "e"}));
    const auto pid = setting.pid();
    REQUIRE(setting.wait() == 0);
    const auto last = shown(daemon, "e")["lastSet"];
    CHECK(last["uid"] == ::getuid());
    CHECK(last["pid"] == pid);
    CHECK(last["atNSec"] >= before);
    CHECK(last["atNSec"] <= wall_now().time_since_epoch().count());
    CHECK(daemon.checked_ctl({"show", "e"}).contains(", pid " + std::to_string(pid) + "\n"));
}

TEST_CASE("chmod takes symbolic permissions, as chmod(1) does")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--permissions", "0066"});
    const auto [change, permissions] = GENERATE(table<std::string, std::string>({
        {"u=rw,g=r", "0646"},
        {"u=rw,g=r,o=", "0640"},
        {"u+r", "0466"},
        {"g-r", "0026"},
        {"g-w,o-rw", "0040"},
        {"ug=r", "0446"},
        {"a=r", "0444"},
        {"+w", "0266"},
        {"=", "0000"},
        {"go=,u+w", "0200"},
    }));
    CAPTURE(change);
    CHECK(daemon.checked_ctl({"chmod", "e", change}).empty());
    CHECK(shown(daemon, "e")["permissions"] == permissions);
}

TEST_CASE("chmod takes a change that begins with - after --")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--permissions", "0666"});
    CHECK(daemon.checked_ctl({"chmod", "e", "--", "-w"}).empty());
    CHECK(shown(daemon, "e")["permissions"] == "0444");
}

TEST_CASE("create --json reports whether the event was created")
{
    const DaemonProcess daemon;
    CHECK(json_line(daemon.checked_ctl({"create", "e", "--json"}))["created"] == true);
    CHECK(json_line(daemon.checked_ctl({"create", "e", "--if-missing", "--json"}))["created"] ==
          false);
    CHECK(daemon.checked_ctl({"create", "e", "--if-missing"}).empty());
    const auto other = daemon.ctl({"create", "e", "--if-missing", "--mode", "auto"});
    CHECK(other.status == 7);
}

TEST_CASE("verbs without a reply print {} as JSON and nothing otherwise")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    daemon.checked_ctl({"create", "b"});
    const std::vector<std::string> words =
        GENERATE(std::vector{"set"s, "a"s, "b"s}, std::vector{"clear"s, "a"s, "b"s},
                 std::vector{"delete"s, "a"s, "b"s}, std::vector{"chmod"s, "a"s, "0600"s});
    auto with_json = words;
    with_json.emplace_back("--json");
    const auto is_delete = words.front() == "delete";
    CHECK(daemon.checked_ctl(words).empty());
    if (is_delete) {
        daemon.checked_ctl({"create", "a"});
        daemon.checked_ctl({"create", "b"});
    }
    CHECK(json_line(daemon.checked_ctl(with_json)) == Json::object());
}

TEST_CASE("set --oneway sets events without a reply and prints nothing")
{
    const DaemonProcess daemon;
    const auto mode = GENERATE("manual"s, "auto"s, "semaphore"s);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    daemon.checked_ctl({"create", "f", "--mode", mode});
    CHECK(daemon.checked_ctl({"set", "--oneway", "e", "f", "--json"}).empty());
    daemon.checked_ctl({"wait", "e", "f"});

    CHECK(daemon.checked_ctl({"set", "--oneway", "--count", "3", "e"}).empty());
    if (mode == "semaphore")
        CHECK(poll_until([&] { return shown(daemon, "e")["count"] == 3; }));
}

TEST_CASE("set --oneway reports usage errors and an absent daemon, and no refusal")
{
    DaemonProcess daemon;
    const auto missing = daemon.ctl({"set", "--oneway", "missing"});
    CHECK(missing.status == 0);
    CHECK(missing.err.empty());
    CHECK(daemon.ctl({"set", "--oneway", "a//b"}).status == 2);
    CHECK(daemon.ctl({"set", "--oneway", "--count", "0", "e"}).status == 2);
    CHECK(daemon.ctl({"set", "--oneway"}).status == 2);
    daemon.kill();
    const auto absent = daemon.ctl({"set", "--oneway", "e"});
    CHECK(absent.status == 5);
    CHECK(absent.err.contains("no evfdd answers at "));
}

TEST_CASE("set --oneway returns while the daemon is stopped, and the set is executed later")
{
    constexpr int sets = 5;
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore"});
    daemon.process().signal(SIGSTOP);
    for (int i = 0; i < sets; ++i)
        CHECK(daemon.checked_ctl({"set", "--oneway", "s"}).empty());
    daemon.process().signal(SIGCONT);
    CHECK(poll_until([&] { return shown(daemon, "s")["count"] == sets; }));
}

TEST_CASE("set, clear and is-set change and report the state of an event")
{
    const DaemonProcess daemon;
    const auto mode = GENERATE("manual"s, "auto"s, "semaphore"s);
    daemon.checked_ctl({"create", "e", "--mode", mode});
    daemon.checked_ctl({"create", "f", "--mode", mode});
    const auto is_set = [&](const std::string& name) {
        const auto status = daemon.ctl({"is-set", name}).status;
        const auto as_json = daemon.ctl({"is-set", name, "--json"});
        CHECK(as_json.status == status);
        CHECK(json_line(as_json.out) == Json{{"isSet", status == 0}});
        CHECK((status == 0 || status == 1));
        return status == 0;
    };
    CHECK_FALSE(is_set("e"));
    daemon.checked_ctl({"set", "e", "f"});
    daemon.checked_ctl({"set", "e"});
    CHECK(is_set("e"));
    CHECK(is_set("e")); // The event is still set, because is-set consumes nothing.
    CHECK(is_set("f"));
    daemon.checked_ctl({"clear", "e", "f"});
    CHECK_FALSE(is_set("e"));
    CHECK_FALSE(is_set("f"));
}

TEST_CASE("set --count adds tokens to a semaphore and sets a manual event once")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "4294967295"});
    daemon.checked_ctl({"create", "m"});
    daemon.checked_ctl({"set", "s", "m", "--count", "1000"});
    CHECK(shown(daemon, "s")["count"] == 4'294'968'295);
    CHECK(shown(daemon, "m")["count"] == 1);
}

TEST_CASE("clear removes all tokens of a semaphore")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "100000"});
    daemon.checked_ctl({"clear", "s"});
    CHECK(shown(daemon, "s")["count"] == 0);
}

TEST_CASE("set, clear and delete of several names change all or none")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    CHECK(daemon.ctl({"set", "a", "missing"}).status == 3);
    CHECK(daemon.ctl({"is-set", "a"}).status == 1);
    daemon.checked_ctl({"set", "a"});
    CHECK(daemon.ctl({"clear", "a", "missing"}).status == 3);
    CHECK(daemon.ctl({"delete", "a", "missing"}).status == 3);
    CHECK(daemon.ctl({"is-set", "a"}).status == 0);
}

TEST_CASE("wait prints nothing, the name with --any, and the fired names as JSON")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--initial", "1"});
    daemon.checked_ctl({"create", "b", "--mode", "semaphore", "--initial", "9"});
    CHECK(daemon.checked_ctl({"wait", "a", "b"}).empty());
    CHECK(daemon.checked_ctl({"wait", "--all", "a", "b"}).empty());
    CHECK(daemon.checked_ctl({"wait", "--any", "b"}) == "b\n");
    CHECK(without_ids(json_line(daemon.checked_ctl({"wait", "a", "b", "--json"}))) ==
          Json::parse(R"({"fired":[{"name":"a","count":1,"index":0},)"
                      R"({"name":"b","count":1,"index":1}]})"));
    CHECK(without_ids(json_line(daemon.checked_ctl({"wait", "--any", "b", "a", "--json"}))) ==
          Json::parse(R"({"fired":[{"name":"b","count":1,"index":0}]})"));
}

TEST_CASE("chmod changes the permissions of an event")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--permissions", "0600"});
    daemon.checked_ctl({"chmod", "e", "0646"});
    CHECK(shown(daemon, "e")["permissions"] == "0646");
    daemon.checked_ctl({"chmod", "e", "640"});
    CHECK(shown(daemon, "e")["permissions"] == "0640");
}

TEST_CASE("show and status print one fact in each line")
{
    const DaemonProcess daemon;
    daemon.checked_ctl(
        {"create", "e", "--mode", "semaphore", "--initial", "3", "--permissions", "0640"});
    const auto text = daemon.checked_ctl({"show", "e"});
    CHECK(text.starts_with("e\n"));
    CHECK(text.contains("semaphore event"));
    CHECK(text.contains("3 tokens"));
    CHECK(text.contains("0640 of "));
    CHECK(text.contains("permanent"));
    const auto status = daemon.checked_ctl({"status"});
    CHECK(status.contains("(pid " + std::to_string(daemon.pid()) + ")"));
    CHECK(status.contains("objects        1\n"));
    for (const auto& plain : {text, status})
        CHECK_FALSE(plain.contains('\x1b'));
}

TEST_CASE("status --json reports the number of resources of each kind")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    const auto client = daemon.client();
    const auto pulse = value_or_throw(client.open("p"));
    WireClient waiting{daemon.path()};
    waiting.call("Wait", {{"items", items({"e"})}});
    WireClient monitor{daemon.path()};
    monitor.call("Monitor", Json::object(), "more");
    monitor.reply();
    REQUIRE(daemon.has_waits("e", 1));
    REQUIRE(poll_until([&] { return value_or_throw(client.status()).connections == 3; }));

    const auto status = json_line(daemon.checked_ctl({"status", "--json"}));

    CHECK(status["pid"] == daemon.pid());
    CHECK(status["objects"] == 2);
    // The count includes the connection of evfdctl status itself.
    CHECK(status["connections"] == 4);
    CHECK(status["waits"] == 1);
    CHECK(status["monitors"] == 1);
    CHECK(status["subscriptions"] == 1);
    CHECK(status["descriptors"] > 4);
    CHECK(status["descriptors"] < status["descriptorLimit"]);
    CHECK(status["startedNSec"] <= wall_now().time_since_epoch().count());
    CHECK(run({.argv = {EVFDD_CTL, "--version"}}).out ==
          "evfdctl " + status["version"].get<std::string>() + "\n");
    CHECK(run({.argv = {EVFDD_DAEMON, "--version"}}).out ==
          "evfdd " + status["version"].get<std::string>() + "\n");
}

TEST_CASE("options may stand before and after the verb")
{
    const DaemonProcess daemon;
    CHECK(run({.argv = {EVFDD_CTL, "create", "e", "--socket", daemon.path()}}).status == 0);
    CHECK(run({.argv = {EVFDD_CTL, "show", "--json", "e", "--socket=" + daemon.path()}}).status ==
          0);
}

TEST_CASE("the help of every verb names its options")
{
    const auto [verb, option] = GENERATE(table<std::string, std::string>({
        {"create", "--if-missing"},
        {"create", "--temporary"},
        {"create", "--permissions"},
        {"create", "--initial"},
        {"set", "--count"},
        {"clear", "--json"},
        {"delete", "--json"},
        {"wait", "--timeout"},
        {"wait", "--existing"},
        {"wait", "--any"},
        {"wait", "--all"},
        {"is-set", "--json"},
        {"show", "--json"},
        {"list", "PATTERN"},
        {"chmod", "PERMISSIONS"},
        {"monitor", "PATTERN"},
        {"status", "--json"},
    }));
    const auto help = run({.argv = {EVFDD_CTL, verb, "--help"}});
    CHECK(help.status == 0);
    CHECK(help.err.empty());
    CHECK(help.out.contains(option));
    const auto all = run({.argv = {EVFDD_CTL, "--help"}});
    CHECK(all.status == 0);
    CHECK(all.out.contains("  " + verb + " "));
    CHECK(all.out.contains("timed out"));
}

TEST_CASE("a command fails when its output cannot be written")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
    const std::vector<std::string> words = GENERATE(
        std::vector{"list"s}, std::vector{"show"s, "e"s, "--json"s}, std::vector{"status"s});
    auto command = daemon.ctl_command(words);
    command.standard_output = full.get();
    CHECK(start(command).wait() != 0);
}

} // namespace
} // namespace evfd::e2e
