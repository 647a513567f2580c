// Tests of the command line of evfdctl. evfdctl takes each argument literally, even where the
// parser could interpret it, for example as a list.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cctype>
#include <sstream>

namespace evfd::e2e {
namespace {

using Words = std::vector<std::string>;

// A command line with unusual words. A parser can take some of these words for lists, and an empty
// word for a missing argument.
const Words unusual_words{
    "/bin/sh", "-c",   "printf '<%s>' \"$@\"", "sh", "[0-9]", "[a,b]", "[]", "[[x]]", "{}", "",
    "--",      "--any"};
constexpr auto as_typed = "<[0-9]><[a,b]><[]><[[x]]><{}><><--><--any>";

TEST_CASE("a command receives its words exactly as typed")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", "auto", "--initial", "1"});
    auto words = GENERATE(Words{"hold", "e", "--"}, Words{"wait", "e", "--"},
                          Words{"exec", "e", "--"}, Words{"wait", "--", "e", "--"});
    CAPTURE(words);
    words.insert(words.end(), unusual_words.begin(), unusual_words.end());
    const auto ran = daemon.ctl(words);
    INFO(ran.err);
    CHECK(ran.status == 0);
    CHECK(ran.out == as_typed);
}

TEST_CASE("a command of one word in brackets is not a list")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    const auto ran = daemon.ctl({"wait", "e", "--", "[true]"});
    CHECK(ran.status == 127);
    CHECK(ran.err.contains("[true] cannot be started"));
    CHECK(daemon.ctl({"on", "e", "--once", "--", "[true]"}).status == 127);
}

TEST_CASE("a word in brackets is not a list of names")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    daemon.checked_ctl({"create", "b"});
    const auto words = GENERATE(Words{"set", "[a,b]"}, Words{"set", "a", "[b]"},
                                Words{"set", "--", "[a]"}, Words{"delete", "[a,b]"},
                                Words{"set", "a", "[]"}, Words{"wait", "[a]", "--", "true"},
                                Words{"create", "[c]"}, Words{"exec", "--", "[a]", "--", "true"});
    CAPTURE(words);
    const auto ran = daemon.ctl(words);
    CHECK(ran.status == 2);
    CHECK(ran.err.contains("]' is not a valid name"));
    CHECK(daemon.ctl({"is-set", "a"}).status == 1);
    CHECK(daemon.checked_ctl({"list"}).contains("b\t"));
}

TEST_CASE("a pattern in brackets is a pattern")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a"});
    daemon.checked_ctl({"create", "c"});
    CHECK(daemon.checked_ctl({"list", "[ab]"}).starts_with("a\t"));
    CHECK(daemon.checked_ctl({"list", "--", "[ab]"}).starts_with("a\t"));
}

TEST_CASE("a verb that runs a command names what is missing and runs nothing")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    const auto [words, message] = GENERATE(table<Words, std::string>({
        {{"hold"}, "a name is missing: evfdctl hold NAME -- COMMAND; see evfdctl hold --help"},
        {{"hold", "e"}, "the command is missing: evfdctl hold NAME -- COMMAND"},
        {{"hold", "e", "--"}, "the command is missing"},
        {{"hold", "e", "true"}, "the command comes after \"--\""},
        {{"hold", "--", "e", "f", "--", "true"}, "more than one name"},
        {{"on", "e"}, "the command is missing: evfdctl on NAME -- COMMAND"},
        {{"exec", "e"}, "the command is missing: evfdctl exec NAME... -- COMMAND"},
        {{"exec", "--", "--", "true"}, "a name is missing"},
        {{"wait"}, "a name is missing: evfdctl wait NAME... [-- COMMAND]"},
        {{"wait", "--any"}, "a name is missing"},
        {{"wait", "e", "--loud", "--", "true"}, "--loud"},
        {{"--", "wait", "e"}, "a verb comes before \"--\""},
    }));
    CAPTURE(words);
    const auto ran = daemon.ctl(words);
    INFO(ran.err);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err.contains(message));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
}

TEST_CASE("the help of a verb begins with its command line")
{
    const auto usage_of = [](const std::string& verb) {
        const auto help = run({.argv = {EVFDD_CTL, verb, "--help"}}).out;
        return help.substr(0, help.find('\n'));
    };
    CHECK(usage_of("set") == "Usage: evfdctl set [OPTIONS] NAME...");
    CHECK(usage_of("list") == "Usage: evfdctl list [OPTIONS] [PATTERN]");
    CHECK(usage_of("hold").ends_with("hold [OPTIONS] NAME -- COMMAND..."));
    CHECK(usage_of("on").ends_with("on [OPTIONS] NAME -- COMMAND..."));
    CHECK(usage_of("exec").ends_with("exec [OPTIONS] NAME... -- COMMAND..."));
    CHECK(usage_of("wait").ends_with("wait [OPTIONS] NAME... [-- COMMAND...]"));
}

TEST_CASE("the name of a verb is a valid name of an object")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "list"});
    daemon.checked_ctl({"set", "list"});
    CHECK(daemon.checked_ctl({"is-set", "list"}).empty());
    CHECK(daemon.ctl({"conjure", "list"}).status == 2);
    CHECK(daemon.ctl({"list", "list"}).out.starts_with("list\t"));
    // The command to execute is "list", which is also a verb of evfdctl. Status 127 means that no
    // program has this name.
    CHECK(daemon.ctl({"exec", "list", "--", "list"}).status == 127);
}

TEST_CASE("the option --help lists every verb, whichever verb is given with it")
{
    const auto help = run({.argv = {EVFDD_CTL, "--help"}}).out;
    const auto words = GENERATE(Words{"-h"}, Words{"--socket", "list", "--help"});
    CAPTURE(words);
    for (const auto* verb : {"create", "arm", "set", "wait", "on", "hold", "exec", "list", "top",
                             "status", "help", "version"})
        CHECK(help.contains(std::string{"\n  "} + verb + " "));
    auto command = words;
    command.insert(command.begin(), EVFDD_CTL);
    CHECK(run({.argv = command}).out == help);
}

// The verbs that --help lists, and the verb that it does not list.
std::vector<std::string> all_verbs()
{
    std::vector<std::string> verbs{"relay"};
    std::istringstream help{run({.argv = {EVFDD_CTL, "--help"}}).out};
    for (std::string line; std::getline(help, line);)
        if (line.size() > 2 && line.starts_with("  ") && std::islower(line[2]))
            verbs.push_back(line.substr(2, line.find(' ', 2) - 2));
    return verbs;
}

TEST_CASE("no help has a line of more than 80 columns")
{
    auto pages = all_verbs();
    REQUIRE(pages.size() > 20);
    pages.emplace_back("");
    for (const auto& verb : pages) {
        const auto ran = verb.empty() ? run({.argv = {EVFDD_CTL, "help"}})
                                      : run({.argv = {EVFDD_CTL, "help", verb}});
        REQUIRE(ran.status == 0);
        REQUIRE_FALSE(ran.out.empty());
        std::istringstream help{ran.out};
        for (std::string line; std::getline(help, line);) {
            CAPTURE(verb, line);
            CHECK(line.size() <= 80);
        }
    }
}

TEST_CASE("the help groups the verbs and lists the exit statuses once")
{
    const auto help = run({.argv = {EVFDD_CTL, "--help"}}).out;
    auto rest = std::string_view{help};
    for (const std::string_view title :
         {"\nObjects:\n", "\nSignalling and waiting:\n", "\nRunning commands:\n", "\nDaemon:\n",
          "\nHelp:\n", "\nOptions:\n", "\nExit status:\n"}) {
        CAPTURE(title);
        const auto at = rest.find(title);
        REQUIRE(at != rest.npos);
        rest.remove_prefix(at);
    }
    CHECK_FALSE(help.contains("\n  relay "));
    for (const auto& verb : all_verbs())
        CHECK_FALSE(run({.argv = {EVFDD_CTL, verb, "--help"}}).out.contains("xit status:"));
}

TEST_CASE("the verb version prints the same as --version")
{
    const auto ran = run({.argv = {EVFDD_CTL, "version"}});
    CHECK(ran.status == 0);
    CHECK(ran.out.starts_with("evfdctl "));
    CHECK(ran.out == run({.argv = {EVFDD_CTL, "--version"}}).out);
}

TEST_CASE("help and help VERB print the same as --help")
{
    const auto help = run({.argv = {EVFDD_CTL, "--help"}});
    const auto words = GENERATE(Words{"help"}, Words{"--user", "help"});
    CAPTURE(words);
    auto command = words;
    command.insert(command.begin(), EVFDD_CTL);
    const auto ran = run({.argv = command});
    CHECK(ran.status == 0);
    CHECK(ran.out == help.out);
    for (const auto* verb : {"wait", "hold", "list", "relay", "help", "version"}) {
        CAPTURE(verb);
        const auto of_verb = run({.argv = {EVFDD_CTL, "help", verb}});
        CHECK(of_verb.status == 0);
        CHECK(of_verb.out == run({.argv = {EVFDD_CTL, verb, "--help"}}).out);
    }
}

TEST_CASE("a command line without a verb prints the help to stderr and fails")
{
    const auto words = GENERATE(Words{EVFDD_CTL}, Words{EVFDD_CTL, "--user"});
    const auto ran = run({.argv = words});
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.err == run({.argv = {EVFDD_CTL, "--help"}}).out);
}

TEST_CASE("a wait on a terminal prints which of its names do not exist and continues")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "there"});
    Terminal terminal{daemon.ctl_command({"wait", "there", "nope"})};
    terminal.await("waiting for 'nope', which does not exist yet");
    CHECK_FALSE(terminal.shows("'there'"));
    daemon.checked_ctl({"create", "nope", "--initial", "1"});
    daemon.checked_ctl({"set", "there"});
    CHECK(terminal.wait() == 0);
}

TEST_CASE("hold and on print on a terminal that their name does not exist and continue")
{
    const DaemonProcess daemon;
    const auto words = GENERATE(Words{"hold", "nope", "--", "echo", "ran"},
                                Words{"on", "nope", "--once", "--", "echo", "ran"});
    CAPTURE(words);
    Terminal terminal{daemon.ctl_command(words)};
    terminal.await("waiting for 'nope', which does not exist yet");
    daemon.checked_ctl({"create", "nope", "--mode", "auto", "--initial", "1"});
    terminal.await("ran");
    CHECK(terminal.wait() == 0);
}

TEST_CASE("a wait on a terminal ends with the same status as elsewhere")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto [words, status, message] = GENERATE(table<Words, Status, std::string>({
        {{"wait", "e", "--timeout", "0"}, 124, "wait timed out"},
        {{"wait", "nope", "--existing"}, 3, "no object named 'nope'"},
        {{"wait", "e", "--any", "--count", "0"}, 2, "at least one"},
    }));
    CAPTURE(words);
    Terminal terminal{daemon.ctl_command(words)};
    terminal.await(message);
    CHECK(terminal.wait() == status);
}

TEST_CASE("evfdctl ends with the right status when its error cannot be written")
{
    const DaemonProcess daemon;
    const UniqueFd full{::open("/dev/full", O_WRONLY | O_CLOEXEC)};
    REQUIRE(full);
    const auto [words, status] = GENERATE(table<Words, Status>({
        {{"show", "missing"}, 3},
        {{"show"}, 2},
        {{"conjure"}, 2},
        {{"wait", "missing", "--timeout", "0"}, 124},
        {{"list"}, 8},
        {{"--help"}, 8},
        {{"--version"}, 8},
    }));
    CAPTURE(words);
    daemon.ctl({"create", "e"}); // Gives the verb "list" an event to print.
    auto command = daemon.ctl_command(words);
    command.standard_output = full.get();
    command.standard_error = full.get();
    CHECK(start(command).wait() == status);
}

TEST_CASE("evfdctl writes nothing to the daemon's socket when an output is closed")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--initial", "1"});
    const auto [words, closed, status] = GENERATE(table<Words, int, Status>({
        {{"list"}, STDOUT_FILENO, 8},
        {{"--version"}, STDOUT_FILENO, 8},
        {{"set", "e"}, STDIN_FILENO, 0},
        {{"wait", "e", "--", "test", "-e", "/proc/self/fd/0"},
         STDIN_FILENO,
         1}, // The command inherits the closed standard input, so test(1) finds no descriptor 0.
    }));
    CAPTURE(words);
    auto command = daemon.ctl_command(words);
    command.in_child = [fd = closed] { ::close(fd); };
    CHECK(start(command).wait() == status);
}

} // namespace
} // namespace evfd::e2e
