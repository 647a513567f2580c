// Tests of the verbs and options for scripts: verbs that succeed when they are repeated, several
// names in one command, and names that a pattern selects.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/terminal.h"

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
    CHECK(daemon.ctl({"set", "--create", "a//b"}).status == 2);
    const auto ran = daemon.ctl({"set", "--create", "--oneway", "n"});
    CHECK(ran.status == 2);
    CHECK(ran.err.contains("cannot be combined"));
    CHECK(names_in(daemon) == Words{"tick"});
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

TEST_CASE("with --quiet a wait on a terminal does not print which names do not exist")
{
    const DaemonProcess daemon;
    const auto* option = GENERATE("-q", "--quiet");
    Terminal terminal{daemon.ctl_command({"wait", "nope", option, "--timeout", "1200ms"})};
    terminal.await("wait timed out");
    CHECK_FALSE(terminal.shows("waiting for"));
    CHECK(terminal.wait() == 124);
}

} // namespace
} // namespace evfd::e2e
