// Tests of evfdd --check-config, which reports whether a configuration file is valid.
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/listener.h"

#include <deque>
#include <filesystem>
#include <fstream>

namespace evfd::e2e {
namespace {

RunResult check(const std::string& file)
{
    return run({.argv = {EVFDD_DAEMON, "--check-config", file}});
}

TEST_CASE("the option --check-config reports that a file and its drop-ins are valid")
{
    const TemporaryDirectory directory;
    const auto main = directory / "some.json";
    const auto drop_in = directory / "conf.d/a.json";
    std::ofstream{main} << "{} // all as by default\n";
    std::filesystem::create_directory(directory / "conf.d");
    std::ofstream{drop_in} << "{\"events\": [{\"name\": \"a\"}]}";

    const auto ran = check(main);

    CHECK(ran.status == 0);
    CHECK(ran.out == main + " is valid\n" + drop_in + " is valid\n");
    CHECK(ran.err.empty());
}

TEST_CASE("the option --check-config reports an error in one line with file, line and key")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    std::ofstream{file} << "{\n\"limits\": {\"objects\": 0}}";

    const auto ran = check(file);

    CHECK(ran.status == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == file + ":2: limits.objects: 0 is too small; give 1 to 2000000\n");
}

TEST_CASE("the option --check-config warns of an account that does not exist")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    std::ofstream{file} << R"({"userLimits": [{"user": "no-such", "waits": 1}]})";

    const auto ran = check(file);

    CHECK(ran.status == 0);
    CHECK(ran.out == file + " is valid\n");
    CHECK(ran.err == "warning: " + file +
                         ":1: userLimits[0].user: there is no user \"no-such\", so these limits "
                         "apply to nobody; create the user and reload, or take them out\n");
    const DaemonProcess daemon{{"--config", file}};
    CHECK(daemon.log().contains("there is no user \"no-such\""));
}

TEST_CASE("a daemon or supervisor with an invalid configuration exits with status 78")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    std::ofstream{file} << "{\"limits\": 1}";
    std::vector<std::string> words{EVFDD_DAEMON, "--socket", directory / "s", "--config", file};
    SECTION("a daemon") {}
    SECTION("a supervisor")
    {
        words.emplace_back("--supervise");
    }

    const auto ran = run({.argv = words});

    CHECK(ran.status == 78);
    CHECK(ran.err.contains(file + ":1: limits: 1 is not valid"));
    CHECK_FALSE(std::filesystem::exists(directory / "s"));
}

TEST_CASE(
    "a daemon with an invalid configuration reports it to the clients that wait at its socket")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    std::ofstream{file} << "{\"limits\": 1}";
    const auto path = directory / "s";
    const auto listener = listen_at(path);
    // The clients connect to the listening socket of the test before the daemon starts.
    std::deque<WireClient> clients;
    for (int i = 0; i < 2; ++i)
        clients.emplace_back(path).call("Status");

    const auto ran =
        run({.argv = {EVFDD_DAEMON, "--config", file}, .inherited_fds = {listener.get()}});

    CHECK(ran.status == 78);
    for (auto& client : clients) {
        const auto reply = client.reply();
        CHECK(reply["error"] == "io.evfdd.SystemFailure");
        CHECK(reply["parameters"]["message"].get<std::string>().contains("journalctl -u evfdd"));
    }
}

TEST_CASE("the option --check-config fails if the named file does not exist")
{
    const TemporaryDirectory directory;
    const auto ran = check(directory / "some.json");
    CHECK(ran.status == 1);
    CHECK(ran.err.contains("some.json: it cannot be read: No such file or directory"));
}

} // namespace
} // namespace evfd::e2e
