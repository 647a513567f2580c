// Tests of evfdd --config and SIGHUP: the daemon creates the objects that a file declares, and
// applies a new file completely or not at all.
#include "tests/support/configured_daemon.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

namespace evfd::e2e {
namespace {

TEST_CASE("declared objects exist from the start, with their owner and permissions")
{
    const ReloadableDaemon configured{R"({
        "events": [{"name": "a", "mode": "semaphore", "initial": 3, "permissions": "0604",
                    "owner": 60601, "group": "60602"}],
        "timers": [{"name": "t", "every": "1h", "owner": 60601}]
    })"};
    const auto event = Json::parse(configured.daemon.checked_ctl({"show", "a", "--json"}));
    CHECK(event["count"] == 3);
    CHECK(event["ownerUid"] == 60601);
    CHECK(event["groupGid"] == 60602);
    // The permissions 0604 allow users outside of the group 60602 to see the count of the event.
    // The test therefore does not need root.
    CHECK(event["permissions"] == "0604");
    CHECK(event["lifetime"] == "permanent");
    const auto timer = Json::parse(configured.daemon.checked_ctl({"show", "t", "--json"}));
    CHECK(timer["ownerUid"] == 60601);
    CHECK(timer["timer"]["state"] == "armed");
}

TEST_CASE("SIGHUP creates newly declared objects and changes no existing one")
{
    ReloadableDaemon configured{R"({"events": [{"name": "a", "mode": "semaphore"}]})"};
    const auto& daemon = configured.daemon;
    const auto client = daemon.client();
    const auto event = value_or_throw(client.open("a"));
    value_or_throw(event.set(2));
    OutputReader waiting{daemon.ctl_command({"wait", "b"})};
    REQUIRE(daemon.has_waits("b", 1));
    const auto connections = value_or_throw(client.status()).connections;

    configured.reload(R"({"events": [{"name": "a", "mode": "semaphore", "initial": 7},
                                     {"name": "b", "initial": 1}],
                          "timers": [{"name": "t", "every": "1h"}]})",
                      reload_succeeded);

    CHECK(waiting.wait() == 0);
    CHECK(value_or_throw(client.show("a")).count == std::int64_t{2});
    CHECK(value_or_throw(client.show("t")).timer);
    CHECK(value_or_throw(client.status()).pid == daemon.pid());
    CHECK(value_or_throw(client.status()).connections <= connections);
    daemon.checked_ctl({"set", "a"});
    CHECK(value_or_throw(client.show("a")).count == std::int64_t{3});

    // The objects remain, although the new file does not declare them.
    configured.reload("{}", reload_succeeded);
    CHECK(client.show("a"));
    CHECK(client.show("b"));
}

TEST_CASE("a declared object that exists with another type is unchanged, and the log reports it")
{
    ReloadableDaemon configured{"{}"};
    const auto& daemon = configured.daemon;
    daemon.checked_ctl({"create", "a", "--mode", "semaphore", "--initial", "3"});
    configured.reload(R"({"events": [{"name": "a"}, {"name": "b"}]})", reload_succeeded);
    CHECK(
        daemon.log().contains("cannot create 'a' of the configuration: 'a' is a semaphore event"));
    CHECK(Json::parse(daemon.checked_ctl({"show", "a", "--json"}))["count"] == 3);
    daemon.checked_ctl({"show", "b"});
}

TEST_CASE("SIGHUP changes the limits for later calls")
{
    ReloadableDaemon configured{"{}"};
    const auto client = configured.daemon.client();
    for (int i = 0; i < 5; ++i)
        value_or_throw(client.create("e/" + std::to_string(i)));
    configured.reload(R"({"limits": {"objects": 5}})", reload_succeeded);
    CHECK(client.create("one/more").error().code == ErrorCode::refused);
    CHECK(client.show("e/4"));
    configured.reload(R"({"limits": {"objects": 6}})", reload_succeeded);
    CHECK(client.create("one/more"));
    configured.reload("{}", reload_succeeded);
    CHECK(client.create("and/another"));
}

TEST_CASE("a new configuration with an error is rejected completely")
{
    ReloadableDaemon configured{R"({"limits": {"objects": 3}})"};
    const auto client = configured.daemon.client();
    configured.reload("{\"limits\": {\"objects\": 1},\n \"events\": [{\"name\": \"b\"}],\n"
                      " \"timers\": [{\"name\": \"t\", \"every\": \"soon\"}]}",
                      reload_failed);
    CHECK(configured.daemon.log().contains(configured.file + ":3: timers[0].every: "));
    CHECK(client.show("b").error().code == ErrorCode::no_such_name);
    for (int i = 0; i < 3; ++i)
        CHECK(client.create("e/" + std::to_string(i)));
    CHECK(client.create("e/3").error().code == ErrorCode::refused);

    // Deletes the configuration file. The reload fails, because a file that --config names must
    // exist.
    REQUIRE(::unlink(configured.file.c_str()) == 0);
    configured.daemon.process().signal(SIGHUP);
    CHECK(poll_until(
        [&] { return configured.daemon.log().contains("some.json: it cannot be read"); }));
    CHECK(client.create("e/3").error().code == ErrorCode::refused);
}

TEST_CASE("SIGHUP changes the log level")
{
    ReloadableDaemon configured{R"({"logLevel": "info"})"};
    configured.reload(R"({"logLevel": "error", "events": [{"name": "a"}],
                          "limits": {"objects": 0}})",
                      reload_failed);
    write_file(configured.file, R"({"logLevel": "error", "events": [{"name": "quiet"}]})");
    configured.daemon.process().signal(SIGHUP);
    const auto client = configured.daemon.client();
    REQUIRE(poll_until([&] { return client.show("quiet").has_value(); }));
    CHECK_FALSE(configured.daemon.log().contains("created 'quiet'"));
    configured.reload(R"({"logLevel": "debug", "events": [{"name": "loud"}]})", reload_succeeded);
    CHECK(configured.daemon.log().contains("created 'loud'"));
}

TEST_CASE("the log level of the command line takes precedence over the configuration")
{
    const TemporaryDirectory directory;
    write_file(directory / "some.json", R"({"logLevel": "error"})");
    const DaemonProcess daemon{{"--config", directory / "some.json", "--log-level", "info"}};
    CHECK(poll_until([&] { return daemon.log().contains("ready"); }));
}

TEST_CASE("SIGHUP changes the mode of the socket")
{
    ReloadableDaemon configured{R"({"socketMode": "0600"})"};
    const auto mode = [&] {
        struct stat file_status{};
        REQUIRE(::stat(configured.daemon.path().c_str(), &file_status) == 0);
        return file_status.st_mode & 0777;
    };
    CHECK(mode() == 0600);
    configured.reload(R"({"socketMode": "0660"})", reload_succeeded);
    CHECK(mode() == 0660);
}

TEST_CASE("a supervisor forwards SIGHUP, and its next daemon reads the new configuration")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, "{}");
    const SupervisedDaemon supervised{{"--config", file}};
    write_file(file, R"({"events": [{"name": "first"}]})");
    REQUIRE(::kill(supervised.pid(), SIGHUP) == 0);
    const auto client = supervised.client();
    CHECK(poll_until([&] { return client.show("first").has_value(); }));
    write_file(file, R"({"events": [{"name": "second"}]})");
    supervised.kill_daemon();
    CHECK(client.show("first"));
    CHECK(client.show("second"));
}

TEST_CASE("objects survive a kill when the next daemon cannot read its configuration")
{
    const TemporaryDirectory directory;
    const auto file = directory / "some.json";
    write_file(file, "{}");
    const SupervisedDaemon supervised{{"--config", file}};
    const auto client = supervised.client();
    REQUIRE(client.create("kept", {.initial = 1, .permissions = Permissions::parse("0666")}));
    write_file(file, "{\"limits\": 1}");

    supervised.kill_daemon();

    // With an invalid configuration the daemon still serves its own user. This test runs as that
    // user.
    CHECK(value_or_throw(client.show("kept")).is_set == true);
    CHECK(supervised.log().contains(file + ":1: limits: 1 is not valid"));
    const auto set_as_unprivileged = [&] {
        auto command = supervised.ctl_command({"set", "kept"});
        command.argv.front() = path_for_any_user(command.argv.front());
        command.in_child = become_unprivileged;
        return run(command).status;
    };
    if (is_root())
        CHECK(set_as_unprivileged() == 4);
    write_file(file, "{}");
    REQUIRE(::kill(supervised.daemon_pid(), SIGHUP) == 0);
    CHECK(poll_until([&] { return set_as_unprivileged() == 0; }));
}

} // namespace
} // namespace evfd::e2e
