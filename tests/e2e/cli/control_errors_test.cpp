// Tests of the failures of evfdctl: the exit status, and one line on stderr that says what to do.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"

#include <signal.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

struct Case {
    std::vector<std::string> words;
    Status status;
    std::string message;
};

std::ostream& operator<<(std::ostream& out, const Case& one)
{
    for (const auto& word : one.words)
        out << word << ' ';
    return out;
}

void check_failure(const RunResult& ran, const Case& wanted)
{
    INFO(wanted);
    INFO(ran.err);
    CHECK(ran.status == wanted.status);
    CHECK(ran.out.empty());
    CHECK(ran.err.starts_with("evfdctl: "));
    CHECK(std::ranges::count(ran.err, '\n') == 1);
    CHECK(ran.err.ends_with('\n'));
    CHECK(ran.err.contains(wanted.message));
}

TEST_CASE("each failure has its exit status and one line that says what to do")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "there"});
    daemon.checked_ctl({"create", "tokens", "--mode", "semaphore"});
    const std::vector<Case> cases{
        {{"show", "missing"}, 3, "no object named 'missing'; create it first"},
        {{"show", "missing"},
         3,
         "(evfdctl create or arm creates one, evfdctl list shows the existing ones)"},
        {{"is-set", "missing"}, 3, "'missing'"},
        {{"set", "missing"}, 3, "'missing'"},
        {{"clear", "missing"}, 3, "'missing'"},
        {{"delete", "missing"}, 3, "'missing'"},
        {{"delete", "missing"}, 3, "(--if-exists accepts that)"},
        {{"set", "missing"}, 3, "(--create creates it as a manual event)"},
        {{"chmod", "missing", "0600"}, 3, "'missing'"},
        {{"wait", "missing", "--existing"}, 3, "'missing'"},
        {{"create", "there"}, 7, "'there' exists already; choose another name"},
        {{"create", "there"}, 7, "(--if-missing accepts one of the same mode)"},
        {{"create", "there", "--mode", "auto"}, 7, "'there' is a manual event, not an auto event"},
        {{"create", "tokens"}, 7, "choose another name, or use it as a semaphore event"},
        {{"create", "there", "--mode", "pulse", "--if-missing"}, 7, "not a pulse event"},
        {{"wait", "there", "--timeout", "1ms"}, 124, "wait timed out"},
        {{"wait", "there", "--timeout", "0", "--json"}, 124, "wait timed out"},
    };
    for (const auto& one : cases)
        check_failure(daemon.ctl(one.words), one);
}

TEST_CASE("an invalid command line ends with status 2 and changes nothing")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e", "--mode", "semaphore"});
    const std::string long_name(256, 'n');
    const std::vector<Case> cases{
        {{"conjure"}, 2, "unknown verb 'conjure'; see evfdctl --help"},
        {{"conjure", "e"}, 2, "unknown verb 'conjure'"},
        {{"crate", "e"}, 2, "unknown verb 'crate'; did you mean 'create'?"},
        {{"wiat", "list"}, 2, "unknown verb 'wiat'; did you mean 'wait'?"},
        {{"stop", "e"}, 2, "unknown verb 'stop'; see evfdctl --help"},
        {{"ste", "e"}, 2, "unknown verb 'ste'; did you mean 'set'?"},
        {{"rceate", "e"}, 2, "unknown verb 'rceate'; did you mean 'create'?"},
        {{"help", "versoin"}, 2, "unknown verb 'versoin'; did you mean 'version'?"},
        {{"rm", "e"}, 2, "unknown verb 'rm'; see evfdctl --help"},
        {{"conjure", "--help"}, 2, "unknown verb 'conjure'"},
        {{"help", "conjure"}, 2, "unknown verb 'conjure'"},
        {{"--loud", "show", "e"}, 2, "--loud"},
        {{"-q", "list"}, 2, "'-q' comes after the verb"},
        {{"--quiet", "list"}, 2, "'--quiet' comes after the verb"},
        {{"--json", "list"}, 2, "'--json' comes after the verb"},
        {{"--loud"}, 2, "unknown option '--loud'; see evfdctl --help"},
        {{"show"}, 2, "NAME is required; see evfdctl show --help"},
        {{"set"}, 2, "--help"},
        {{"wait"}, 2, "--help"},
        {{"chmod", "e"}, 2, "PERMISSIONS is required; see evfdctl chmod --help"},
        {{"chmod", "e", "0600", "f"}, 2, "'f' is one argument too many; see evfdctl chmod --help"},
        {{"show", "e", "--loud"}, 2, "unknown option '--loud'; see evfdctl show --help"},
        {{"wait", "e", "--any", "--all"}, 2, "--any and --all cannot be combined"},
        {{"wait", "e", "--any=loud"}, 2, "--any takes no value"},
        {{"wait", "e", "--timeout"}, 2, "--timeout requires a value: --timeout DURATION; see"},
        {{"set", "e", "--count", "1", "--count", "2"}, 2, "--count is given twice"},
        {{"list", "--socket"}, 2, "--socket requires a value: --socket PATH; see evfdctl list"},
        {{"on", "e", "--grace", "1s", "--", "true"}, 2, "--grace requires --restart"},
        {{"show", ""}, 2, "is not a valid name"},
        {{"show", "/e"}, 2, "is not a valid name"},
        {{"show", "e/"}, 2, "is not a valid name"},
        {{"show", "a//b"}, 2, "is not a valid name"},
        {{"show", "a/../b"}, 2, "is not a valid name"},
        {{"show", "."}, 2, "is not a valid name"},
        {{"create", "a b"}, 2, "is not a valid name"},
        {{"create", "n*"}, 2, "create accepts names, not patterns"},
        {{"delete", "e*"},
         2,
         "delete accepts names, not patterns; evfdctl list 'e*' shows the names"},
        {{"set", "e", "?"}, 2, "set accepts names, not patterns; evfdctl list '?' shows"},
        {{"wait", "e*"}, 2, "wait accepts names, not patterns"},
        {{"hold", "e*", "--", "true"}, 2, "hold accepts names, not patterns"},
        {{"arm", "n"}, 2, "give --after, --at or --every"},
        {{"create", "a\nb"}, 2, "is not a valid name"},
        {{"create", "\xC3\xA4"}, 2, "is not a valid name"},
        {{"create", long_name}, 2, "is not a valid name"},
        {{"create", "n", "--mode", "sometimes"}, 2, "'sometimes' is not one of manual, auto, "},
        {{"create", "n", "--initial", "-1"}, 2, "starts with 0 to 4294967295"},
        {{"create", "n", "--initial", "4294967296"}, 2, "starts with 0 to 4294967295"},
        {{"create", "n", "--initial", "18446744073709551616"}, 2, "63 bits"},
        {{"create", "n", "--initial", "4294967296"}, 2, "4294967295"},
        {{"create", "n", "--initial", "1.5"}, 2, "--initial"},
        {{"create", "n", "--initial", "many"}, 2, "--initial"},
        {{"create", "n", "--mode", "pulse", "--initial", "1"}, 2, "initial"},
        {{"create", "n", "--permissions", "1777"}, 2, "is not a set of permissions"},
        {{"create", "n", "--permissions", "rw"}, 2, "is not a set of permissions"},
        {{"create", "n", "--permissions", "06666"}, 2, "is not a set of permissions"},
        {{"chmod", "e", "4100"}, 2, "is not a set of permissions"},
        {{"chmod", "e", "0688"}, 2, "is not a set of permissions"},
        {{"chmod", "e", "u=x"}, 2, "'u=x' is not a change of permissions: give changes such as"},
        {{"chmod", "e", "-w"}, 2, "unknown option '-w'; write a-w, or put -- before it; see"},
        {{"chmod", "e", "0600", "-rw"}, 2, "unknown option '-rw'; write a-rw, or put --"},
        {{"chmod", "e", "-x"}, 2, "unknown option '-x'; see evfdctl chmod --help"},
        {{"create", "-x"}, 2, "unknown option '-x'; see evfdctl create --help"},
        {{"create", "--", "-x", "-x"}, 2, "'-x' is given twice"},
        {{"on", "e", "--json", "--", "true"}, 2, "unknown option '--json'; see evfdctl on --help"},
        {{"hold", "e", "--json", "--", "true"}, 2, "unknown option '--json'"},
        {{"exec", "e", "--json", "--", "true"}, 2, "unknown option '--json'"},
        {{"relay", "--json"}, 2, "unknown option '--json'"},
        {{"chmod", "e", "u=r,"}, 2, "is not a change of permissions"},
        {{"chmod", "e", "z+r"}, 2, "is not a change of permissions"},
        {{"chmod", "e", "u+r-w"}, 2, "is not a change of permissions"},
        {{"chmod", "missing", "u+r"}, 3, "'missing'"},
        {{"set", "e", "--count", "0"}, 2, "1 to 16384"},
        {{"set", "e", "--count", "-3"}, 2, "1 to 16384"},
        {{"set", "e", "--count", "16385"}, 2, "1 to 16384"},
        {{"set", "e", "--count", "18446744073709551617"}, 2, "63 bits"},
        {{"set", "e", "--count", "16385"}, 2, "1 to 16384"},
        {{"set", "e", "--count", "x"}, 2, "--count"},
        {{"set", "e", "e"}, 2, "once"},
        {{"wait", "e", "--timeout", "soon"}, 2, "'soon' is not a duration"},
        {{"wait", "e", "--timeout", "-1s"}, 2, "duration"},
        {{"wait", "e", "--timeout", "1y"}, 2, "'1y' is not a duration"},
        {{"wait", "e", "--timeout", "1s1m"}, 2, "is not a duration"},
        {{"wait", "e", "--timeout", "9223372036854775808ns"}, 2, "is not a duration"},
        {{"list", std::string(256, '*')}, 2, "pattern"},
        {{"monitor", "[[:alpha:]]*"}, 2, "no character class"},
        {{"wait", "e", "--timeout", ""}, 2, "--timeout: the value is empty"},
        {{"wait", "e", "--grace", "soon"}, 2, "'soon' is not a duration"},
        {{"hold", "e", "--timeout", "", "--", "true"}, 2, "--timeout"},
        {{"create", "n", "--permissions", ""}, 2, "--permissions"},
        {{"arm", "n", "--in", ""}, 2, "--in"},
        {{"arm", "n", "--after", ""}, 2, "--after"},
        {{"arm", "n", "--after", "1s", "--in", "1s"}, 2, "--after and --in cannot be combined"},
        {{"arm", "n", "--at", ""}, 2, "--at"},
        {{"arm", "n", "--in", "1d", "--every", ""}, 2, "--every"},
        {{"arm", "n", "--in", "1d", "--sets", ""}, 2, "--sets"},
        {{"list", "--socket", ""}, 2, "--socket"},
        {{"list", "--ssh", "ssh"}, 2, "--ssh requires --host"},
    };
    for (const auto& one : cases)
        check_failure(daemon.ctl(one.words), one);
    CHECK(value_or_throw(daemon.client().status()).objects == 1);
    CHECK(value_or_throw(daemon.client().show("e")).count == 0);
}

TEST_CASE("more names than one call takes are a usage error")
{
    const DaemonProcess daemon;
    std::vector<std::string> words{"set"};
    for (std::size_t i = 0; i <= max_names_per_call; ++i)
        words.push_back("n/" + std::to_string(i));
    check_failure(daemon.ctl(words), {{"set", "..."}, 2, "1 to 253"});
}

TEST_CASE("every verb ends with status 5 when no daemon answers")
{
    const TemporaryDirectory directory;
    const std::vector<std::string> words = GENERATE(
        std::vector{"create"s, "e"s}, std::vector{"set"s, "e"s}, std::vector{"clear"s, "e"s},
        std::vector{"delete"s, "e"s}, std::vector{"wait"s, "e"s}, std::vector{"is-set"s, "e"s},
        std::vector{"show"s, "e"s}, std::vector{"list"s}, std::vector{"chmod"s, "e"s, "0600"s},
        std::vector{"monitor"s}, std::vector{"status"s});
    Command command{.argv = {EVFDD_CTL, "--socket", directory / "nobody"}};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    check_failure(run(command), {words, 5, "no evfdd answers at"});
}

TEST_CASE("the error for the missing system daemon says how to start it")
{
    if (::access(Address::system().path.c_str(), F_OK) == 0)
        skip("this machine has a daemon");
    check_failure(
        run({.argv = {EVFDD_CTL, "--system", "status"}}),
        {{"status"}, 5, "start it (systemctl start evfdd.socket), or name another socket"});
}

TEST_CASE("a path that is too long for a socket ends with status 5")
{
    check_failure(run({.argv = {EVFDD_CTL, "--socket", "/" + std::string(200, 'x'), "status"}}),
                  {{"status"}, 5, "no evfdd answers at"});
}

TEST_CASE("a monitor ends with status 5 when the daemon exits for good")
{
    DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    OutputReader monitor{daemon.ctl_command({"monitor"})};
    REQUIRE(monitor.read_line());
    REQUIRE(monitor.read_line() == "ready");
    daemon.process().signal(SIGTERM);
    CHECK(daemon.process().wait() == 0);
    CHECK(monitor.wait() == 5);
    CHECK(std::ranges::count(monitor.errors(), '\n') == 1);
}

TEST_CASE("a reached limit ends with status 4 and is named")
{
    const DaemonProcess daemon;
    std::vector<WireClient> monitors;
    for (int i = 0; i < 64; ++i) {
        monitors.emplace_back(daemon.path()).call("Monitor", Json::object(), "more");
        REQUIRE(monitors.back().reply()["parameters"]["change"] == "ready");
    }
    check_failure(daemon.ctl({"monitor"}), {{"monitor"}, 4, "64 monitors"});
}

} // namespace
} // namespace evfd::e2e
