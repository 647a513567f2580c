// Tests of the verbs and options for scripts: verbs that succeed when they are repeated, several
// names in one command, and names that a pattern selects.
#include "tests/paths.h"
#include "tests/support/configured_daemon.h"
#include "tests/support/daemon_process.h"
#include "tests/support/scripted_daemon.h"
#include "tests/support/terminal.h"

#include <unistd.h>

#include <sstream>

namespace evfd::e2e {
namespace {

using Words = std::vector<std::string>;

// Returns the names of all objects.
Words names_in(const DaemonProcess& daemon)
{
    Words names;
    std::istringstream list{daemon.checked_ctl({"list"})};
    for (std::string line; std::getline(list, line);)
        names.push_back(line.substr(0, line.find('\t')));
    return names;
}

// Returns the name of the user who runs the test.
std::string user_name()
{
    auto name = run({.argv = {"/usr/bin/id", "-un"}}).out;
    name.pop_back(); // The end of the line.
    return name;
}

TEST_CASE("create takes several names, and the first failure ends it")
{
    const DaemonProcess daemon;
    CHECK(
        daemon.checked_ctl({"create", "a", "b", "--mode", "semaphore", "--initial", "2"}).empty());
    CHECK(daemon.checked_ctl({"list"}).contains("b\tevent\tsemaphore\t2 tokens"));

    const auto ran = daemon.ctl({"create", "c", "a", "d"});
    CHECK(ran.status == 7);
    CHECK(ran.err.contains("'a'"));
    CHECK(names_in(daemon) == Words{"a", "b", "c"});

    const auto lines = daemon.checked_ctl({"create", "c", "d", "--if-missing", "--json"});
    CHECK(std::ranges::count(lines, '\n') == 2);
    CHECK(lines.starts_with("{\"created\":false"));
    CHECK(lines.contains("\n{\"created\":true"));
}

TEST_CASE("set --create creates the names that do not exist and sets all")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "there", "--mode", "auto"});
    CHECK(daemon.checked_ctl({"set", "--create", "there", "new"}).empty());
    CHECK(daemon.checked_ctl({"list"}).contains("new\tevent\tmanual\tset\t"));
    CHECK(daemon.checked_ctl({"list"}).contains("there\tevent\tauto\tset\t"));
    CHECK(daemon.checked_ctl({"set", "--create", "new", "--json"}) == "{}\n");
}

TEST_CASE("set --create reports every failure but a missing name")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"arm", "tick", "--after", "1d"});
    CHECK(daemon.ctl({"set", "--create", "tick"}).status == 7);
    const auto timer = daemon.ctl({"set", "--create", "new", "tick"});
    CHECK(timer.status == 7);
    CHECK(timer.err.contains("'tick' is a timer, not an event"));
    CHECK(daemon.ctl({"set", "--create", "a//b"}).status == 2);
    const auto ran = daemon.ctl({"set", "--create", "--oneway", "n"});
    CHECK(ran.status == 2);
    CHECK(ran.err.contains("cannot be combined"));
    CHECK(names_in(daemon) == Words{"tick"});
}

TEST_CASE("set --create that cannot create all events keeps the created ones and sets none")
{
    const ReloadableDaemon configured{R"({"limits": {"objects": 1}})"};
    const auto ran = configured.daemon.ctl({"set", "--create", "a", "b"});
    CHECK(ran.status == 4);
    CHECK(names_in(configured.daemon) == Words{"a"});
    CHECK(configured.daemon.ctl({"is-set", "a"}).status == 1);
}

// Receives the calls of evfdctl and replies to each with an error, up to the call that creates an
// event, which it answers with `created`. Returns the methods of these calls.
Words methods_until_creation(ScriptedConnection& connection, std::string_view created)
{
    Words methods;
    while (true) {
        const auto method = Json::parse(connection.receive_call())["method"].get<std::string>();
        methods.push_back(method.substr(method.rfind('.') + 1));
        if (methods.back() == "CreateEvent") {
            connection.send_reply(created);
            return methods;
        }
        if (methods.back() != "Resume") // The first call, to which this daemon does not reply.
            connection.send_reply(
                R"({"error":"io.evfdd.NoSuchName","parameters":{"name":"e","message":"gone"}})");
    }
}

TEST_CASE("set --create creates a name again that is deleted before it is set")
{
    ScriptedDaemon daemon;
    auto setting =
        start({.argv = {EVFDD_CTL, "--socket", daemon.address().path, "set", "--create", "e"}});
    auto connection = daemon.accept();
    // Another process creates the event first, and then deletes it.
    CHECK(methods_until_creation(
              connection,
              R"({"error":"io.evfdd.NameTaken","parameters":{"name":"e","message":"taken"}})") ==
          Words{"Resume", "Set", "Show", "CreateEvent"});
    CHECK(methods_until_creation(connection, R"({"parameters":{"created":true,"id":1}})") ==
          Words{"Set", "Show", "CreateEvent"});
    CHECK(setting.wait() == 0);
}

TEST_CASE("a usage error in one of several names is found before the first object changes")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "there"});
    const auto [words, message] = GENERATE(table<Words, std::string>({
        {{"create", "new", "a//b"}, "'a//b' is not a valid name"},
        {{"create", "new", "new"}, "'new' is given twice"},
        {{"set", "--create", "new", "a//b"}, "'a//b' is not a valid name"},
        {{"delete", "--if-exists", "there", "a//b"}, "'a//b' is not a valid name"},
        {{"delete", "--if-exists", "there", "there"}, "'there' is given twice"},
        {{"delete", "--pattern", "th*", "a//b"}, "'a//b' is not a valid name"},
        {{"show", "there", "a//b"}, "'a//b' is not a valid name"},
    }));
    CAPTURE(words);
    const auto ran = daemon.ctl(words);
    INFO(ran.err);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.contains(message));
    CHECK(names_in(daemon) == Words{"there"});
}

TEST_CASE("delete of single objects goes on after a failure")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a/1", "a/2", "b"});
    const auto ran = daemon.ctl({"delete", "missing", "--pattern", "a/*"});
    CHECK(ran.status == 3);
    CHECK(ran.err.contains("'missing'"));
    CHECK(names_in(daemon) == Words{"b"});
}

TEST_CASE("without a daemon a verb with several names reports one error")
{
    const TemporaryDirectory directory;
    auto words = GENERATE(Words{"delete", "--if-exists", "a", "b"}, Words{"show", "a", "b"},
                          Words{"create", "a", "b"}, Words{"set", "--create", "a", "b"});
    CAPTURE(words);
    words.insert(words.begin(), {EVFDD_CTL, "--socket", directory / "nobody"});
    const auto ran = run({.argv = words});
    CHECK(ran.status == 5);
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("delete --if-exists accepts names that do not exist and deletes the others")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "b", "c"});
    CHECK(daemon.checked_ctl({"delete", "--if-exists", "missing"}).empty());
    CHECK(daemon.checked_ctl({"delete", "a", "missing", "b", "--if-exists"}).empty());
    CHECK(daemon.checked_ctl({"delete", "missing", "--if-exists", "--json"}) == "{}\n");
    CHECK(names_in(daemon) == Words{"c"});
    CHECK(daemon.ctl({"delete", "c", "missing"}).status == 3);
    CHECK(names_in(daemon) == Words{"c"});
    CHECK(daemon.ctl({"delete", "--if-exists", "a//b"}).status == 2);
}

TEST_CASE("delete --pattern deletes the objects that match and no others")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "job/1", "job/2", "job/2/log", "other", "one"});
    CHECK(daemon.checked_ctl({"delete", "--pattern", "job/*"}).empty());
    CHECK(names_in(daemon) == Words{"job/2/log", "one", "other"});
    CHECK(daemon.checked_ctl({"delete", "one", "--pattern", "o*"}).empty());
    CHECK(names_in(daemon) == Words{"job/2/log"});

    const auto ran = daemon.ctl({"delete", "--pattern", "o*"});
    CHECK(ran.status == 3);
    CHECK(ran.err.contains("no object matches 'o*'"));
    CHECK(daemon.checked_ctl({"delete", "--pattern", "o*", "--if-exists"}).empty());
}

TEST_CASE("delete without a name and without a pattern is a usage error")
{
    const DaemonProcess daemon;
    const auto ran = daemon.ctl({"delete", "--if-exists"});
    CHECK(ran.status == 2);
    CHECK(ran.err.contains("NAME or --pattern is required; see evfdctl delete --help"));
}

TEST_CASE("a malformed pattern is a usage error with one sentence")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    const auto [pattern, message] = GENERATE(table<std::string, std::string>({
        {"[", "'[' is not a valid pattern: a [ has no ]"},
        {"a[b", "a [ has no ]"},
        {"[]", "a [ has no ]"},
        {"[!]", "a [ has no ]"},
        {"[a\\]", "a [ has no ]"},
        {"[a]*[", "a [ has no ]"},
        {"a\\", "'a\\' is not a valid pattern: nothing follows the \\ at its end"},
    }));
    const auto words = GENERATE(Words{"list"}, Words{"monitor"}, Words{"delete", "--pattern"});
    CAPTURE(words, pattern);
    auto command = words;
    command.push_back(pattern);
    const auto ran = daemon.ctl(command);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.contains(message));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("a pattern with complete brackets is valid")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "b"});
    const auto [pattern, count] = GENERATE(table<std::string, int>({
        {"[]a]", 1},
        {"[!]a]", 1},
        {"[^a]", 1},
        {"[a-b]", 2},
        {"\\[", 0},
        {"[\\]b]", 1},
        {"]", 0},
    }));
    CAPTURE(pattern);
    const auto listed = daemon.checked_ctl({"list", pattern});
    CHECK(std::ranges::count(listed, '\n') == count);
}

TEST_CASE("show takes several names and reports those that it cannot show")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "b"});
    const auto both = daemon.checked_ctl({"show", "a", "b"});
    CHECK(both == daemon.checked_ctl({"show", "a"}) + "\n" + daemon.checked_ctl({"show", "b"}));

    const auto ran = daemon.ctl({"show", "a", "missing", "b", "--json"});
    CHECK(ran.status == 3);
    CHECK(ran.err.contains("'missing'"));
    CHECK(std::ranges::count(ran.out, '\n') == 2);
}

TEST_CASE("show --property prints single fields, and --value only their values")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "3"});
    daemon.checked_ctl({"create", "e", "--mode", "auto"});
    daemon.checked_ctl({"arm", "t", "--after", "1d", "--every", "2s"});
    CHECK(daemon.checked_ctl({"show", "s", "-p", "count"}) == "count=3\n");
    CHECK(daemon.checked_ctl({"show", "s", "-p", "count", "--value"}) == "3\n");
    CHECK(daemon.checked_ctl({"show", "s", "e", "--property", "mode,isSet"}) ==
          "mode=semaphore\nisSet=true\n\nmode=auto\nisSet=false\n");
    CHECK(daemon.checked_ctl({"show", "s", "e", "-p", "count", "--value"}) == "3\n0\n");
    CHECK(daemon.checked_ctl({"show", "t", "-p", "timer.intervalNSec,timer.clock", "--value"}) ==
          "2000000000\nmonotonic\n");
    // An object that does not have the field has an empty value.
    CHECK(daemon.checked_ctl({"show", "t", "e", "-p", "mode", "--value"}) == "\nauto\n");
    CHECK(daemon.checked_ctl({"show", "e", "-p", "lastSet.pid"}) == "lastSet.pid=\n");
}

TEST_CASE("a wrong use of the options of show and list is a usage error")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto [words, message] = GENERATE(table<Words, std::string>({
        {{"show", "e", "-p", "colour"}, "'colour' is not a field of an object"},
        {{"show", "e", "-p", "count,"}, "'' is not a field of an object"},
        {{"show", "e", "-p", "timer"}, "'timer' is not a field of an object"},
        {{"show", "e", "-p"}, "-p requires a value: -p FIELDS"},
        {{"show", "e", "--value"}, "--value requires --property"},
        {{"show", "e", "-p", "count", "--json"}, "cannot be combined"},
        {{"list", "--columns", "name,colour"}, "'colour' is not one of name, kind, mode"},
        {{"list", "--columns", ""}, "'' is not one of"},
        {{"list", "--sort", "colour"}, "'colour' is not one of name, kind"},
        {{"list", "--mode", "timer"}, "'timer' is not one of manual"},
        {{"list", "--kind", "auto"}, "'auto' is not one of event, timer"},
        {{"list", "--owner", ""}, "the value is empty"},
        {{"list", "--owner", "no-such-user"}, "there is no user 'no-such-user'"},
        {{"list", "--owner", "$(id -un)"}, "there is no user '$(id -un)'"},
        {{"list", "--owner", "'x"}, "there is no user ''x'"},
        {{"list", "--owner=-x"}, "there is no user '-x'"},
        {{"list", "--owner", "00"}, "there is no user '00'"},
        {{"list", "--json", "--columns", "name"}, "--columns and --json cannot be combined"},
    }));
    CAPTURE(words);
    const auto ran = daemon.ctl(words);
    INFO(ran.err);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.contains(message));
}

TEST_CASE("list prints the chosen columns, in the order in which they are given")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "b", "--mode", "auto", "--permissions", "0600"});
    daemon.checked_ctl({"create", "a", "--initial", "1", "--permissions", "0644"});
    CHECK(daemon.checked_ctl({"list", "--columns", "name"}) == "a\nb\n");
    CHECK(daemon.checked_ctl({"list", "--columns", "state,name,permissions"}) ==
          "set\ta\t0644\nclear\tb\t0600\n");
}

TEST_CASE("list sorts by a column, and objects with the same text by name")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "semaphore"});
    daemon.checked_ctl({"create", "d", "b", "--mode", "auto"});
    daemon.checked_ctl({"arm", "c", "--after", "1d"});
    CHECK(daemon.checked_ctl({"list", "--sort", "name", "--columns", "name"}) == "a\nb\nc\nd\n");
    CHECK(daemon.checked_ctl({"list", "--sort", "mode", "--columns", "name"}) == "b\nd\nc\na\n");
    const auto json = daemon.checked_ctl({"list", "--sort", "mode", "--json"});
    CHECK(json.starts_with("{\"name\":\"b\""));
    CHECK(std::ranges::count(json, '\n') == 4);
}

TEST_CASE("list sorts numbers of tokens as numbers")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--mode", "semaphore", "--initial", "10"});
    daemon.checked_ctl({"create", "b", "--mode", "semaphore", "--initial", "9"});
    daemon.checked_ctl({"create", "c", "--initial", "1"});
    daemon.checked_ctl({"create", "d"});
    CHECK(daemon.checked_ctl({"list", "--sort", "state", "--columns", "name"}) == "d\nc\nb\na\n");
}

TEST_CASE("list selects objects by mode, kind and owner")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "b", "--mode", "auto"});
    daemon.checked_ctl({"create", "m"});
    daemon.checked_ctl({"arm", "t", "--after", "1d"});
    const auto listed = [&](Words options) {
        Words words{"list", "--columns", "name"};
        words.insert(words.end(), options.begin(), options.end());
        return daemon.checked_ctl(words);
    };
    CHECK(listed({"--mode", "auto"}) == "a\nb\n");
    CHECK(listed({"--mode", "auto", "a"}) == "a\n");
    CHECK(listed({"--kind", "timer"}) == "t\n");
    CHECK(listed({"--kind", "timer", "--mode", "manual"}).empty());
    CHECK(listed({"--owner", std::to_string(::getuid())}) == "a\nb\nm\nt\n");
    CHECK(listed({"--owner", user_name()}) == "a\nb\nm\nt\n");
    CHECK(listed({"--owner", "4000000000"}).empty());
    CHECK(daemon.checked_ctl({"list", "--kind", "timer", "--json"}).starts_with("{\"name\":\"t\""));
}

TEST_CASE("list on a terminal prints no heading with --no-legend")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "long/name", "e"});
    Terminal with{daemon.ctl_command({"list", "--columns", "name,kind"})};
    with.await("long/name");
    CHECK(with.wait() == 0);
    CHECK(with.line(0) == "NAME       KIND");
    Terminal without{daemon.ctl_command({"list", "--columns", "name,kind", "--no-legend"})};
    without.await("long/name");
    CHECK(without.wait() == 0);
    CHECK(without.line(0) == "e          event");
}

TEST_CASE("with --quiet a wait on a terminal does not print which names do not exist")
{
    const DaemonProcess daemon;
    const auto* option = GENERATE("-q", "--quiet");
    Terminal quiet{daemon.ctl_command({"wait", "nope", option})};
    REQUIRE(daemon.has_waits("nope", 1));
    // This wait begins later, so its note comes later than a note of the other wait would.
    Terminal other{daemon.ctl_command({"wait", "nope"})};
    other.await("waiting for 'nope'");
    daemon.checked_ctl({"create", "nope", "--initial", "1"});
    CHECK(quiet.wait() == 0);
    CHECK_FALSE(quiet.shows("waiting for"));
    CHECK(other.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
