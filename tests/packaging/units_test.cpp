// Tests of the systemd units. The units of the daemon use socket activation. Other units wait for
// an event, set an event, or start a service when an event is set.
#include "tests/packaging/container.h"
#include "tests/support/catch.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace evfd::e2e {
namespace {

using Json = nlohmann::json;

RunResult run_evfdctl(std::vector<std::string> argv)
{
    argv.insert(argv.begin(), {"evfdctl", "--system"});
    return Container::instance().run(std::move(argv));
}

void run_evfdctl_checked(std::vector<std::string> argv)
{
    const auto result = run_evfdctl(std::move(argv));
    INFO(result.err);
    REQUIRE(result.status == 0);
}

bool has_waits(const std::string& name, std::int64_t count)
{
    const auto client = Container::instance().client();
    return poll_until([&] {
        const auto shown = client.show(name);
        return (shown ? shown->waits : value_or_throw(client.status()).waits) == count;
    });
}

TEST_CASE("the socket unit listens first, and the first client starts the daemon")
{
    auto& container = Container::instance();
    container.run_checked({"systemctl", "stop", "evfdd.service", "evfdd.socket"});
    container.run_checked({"systemctl", "start", "evfdd.socket"});
    REQUIRE(container.property("evfdd.service", "ActiveState") == "inactive");
    CHECK(container.run_checked({"stat", "-c", "%a %F", "/run/evfdd/io.evfdd"}) == "666 socket");
    CHECK(container.run_checked({"readlink", "-f", "/run/varlink/registry/io.evfdd"}) ==
          "/run/evfdd/io.evfdd");

    run_evfdctl_checked({"status"});

    CHECK(container.property("evfdd.service", "ActiveState") == "active");
    const auto pid = container.property("evfdd.service", "MainPID");
    CHECK(Json::parse(run_evfdctl({"status", "--json"}).out)["pid"] == std::stoi(pid));
    CHECK(container.run_checked({"stat", "-c", "%U %G", "/proc/" + pid}) == "evfdd evfdd");
}

TEST_CASE("systemd regards the daemon as started when clients can connect")
{
    auto& container = Container::instance();
    container.run_checked({"systemctl", "restart", "evfdd.service"});
    CHECK(container.property("evfdd.service", "Type") == "notify");
    CHECK(container.property("evfdd.service", "SubState") == "running");
    // systemd accepts READY=1 only from the main process of the service. So this main process must
    // be the daemon that serves clients.
    CHECK(Json::parse(run_evfdctl({"status", "--json"}).out)["pid"] ==
          std::stoi(container.property("evfdd.service", "MainPID")));
}

TEST_CASE("the log is in the journal under the daemon's name")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"status"});
    const auto entry = [&]() -> std::optional<Json> {
        std::istringstream lines{
            container.run_checked({"journalctl", "--unit", "evfdd.service", "--output", "json",
                                   "--no-pager", "_COMM=evfdd"})};
        for (std::string line; std::getline(lines, line);)
            if (auto parsed = Json::parse(line);
                parsed["MESSAGE"].is_string() &&
                parsed["MESSAGE"].get<std::string>().contains("ready"))
                return parsed;
        return {};
    };
    std::optional<Json> found;
    REQUIRE(poll_until([&] { return (found = entry()).has_value(); }));
    CHECK((*found)["_SYSTEMD_UNIT"] == "evfdd.service");
    CHECK((*found)["SYSLOG_IDENTIFIER"] == "evfdd");
    CHECK((*found)["_UID"] == container.run_checked({"id", "-u", "evfdd"}));
}

TEST_CASE("any user may create events, and the permissions apply to other users")
{
    auto& container = Container::instance();
    const auto run_as = [&](std::string_view user, std::vector<std::string> argv) {
        argv.insert(argv.begin(), {"evfdctl", "--system"});
        return container.run_as(user, std::move(argv));
    };
    REQUIRE(run_as("nobody", {"create", "users/mine", "--permissions", "0640"}).status == 0);
    auto command =
        container.command({"setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                           "evfdctl", "--system", "wait", "--any", "users/mine"});
    OutputReader waiting{std::move(command)};
    REQUIRE(has_waits("users/mine", 1));

    CHECK(run_as("daemon", {"set", "users/mine"}).status == 4);
    CHECK(run_as("daemon", {"delete", "users/mine"}).status == 4);
    CHECK(run_as("daemon", {"chmod", "users/mine", "0666"}).status == 4);
    CHECK(run_as("nobody", {"is-set", "users/mine"}).status == 1);
    CHECK(run_as("nobody", {"set", "users/mine"}).status == 0);
    CHECK(waiting.read_line() == "users/mine");
    CHECK(run_as("nobody", {"delete", "users/mine"}).status == 0);
}

TEST_CASE("a timer on an alarm clock can be armed, since the unit grants the capability")
{
    run_evfdctl_checked({"arm", "wake", "--in", "1h", "--clock", "boottime-alarm"});
    run_evfdctl_checked({"delete", "wake"});
}

TEST_CASE("evfd-wait@ fails after its timeout, which a file can set to infinity")
{
    auto& container = Container::instance();
    const auto unit = "evfd-wait@never.service"s;
    const auto file = container.path("/etc/evfdd/wait/never.conf");
    std::filesystem::create_directories(std::filesystem::path{file}.parent_path());
    CHECK(container.property(unit, "Environment") == "EVFD_WAIT_TIMEOUT=90s");

    write_file(file, "EVFD_WAIT_TIMEOUT=50ms\n");
    CHECK(container.run({"systemctl", "start", unit}).status != 0);
    CHECK(container.property(unit, "ActiveState") == "failed");
    CHECK(container.property(unit, "ExecMainStatus") == "124");

    write_file(file, "EVFD_WAIT_TIMEOUT=infinity\n");
    container.run_checked({"systemctl", "start", "--no-block", unit});
    CHECK(has_waits("never", 1));
    container.run_checked({"systemctl", "stop", unit});
    std::filesystem::remove(file);
}

TEST_CASE("a unit that needs evfd-wait@ starts once the event is set, and not before")
{
    auto& container = Container::instance();
    container.write_unit("app.service", "[Unit]\n"
                                        "Requires=evfd-wait@db-ready.service\n"
                                        "After=evfd-wait@db-ready.service\n"
                                        "[Service]\nType=oneshot\nRemainAfterExit=yes\n"
                                        "ExecStart=true\n");
    OutputReader start_command{container.command({"systemctl", "start", "app.service"})};
    REQUIRE(has_waits("db/ready", 1)); // The wait is pending although the event does not exist yet.
    CHECK(container.property("app.service", "ActiveState") == "inactive");
    CHECK(container.property("evfd-wait@db-ready.service", "ActiveState") == "activating");

    run_evfdctl_checked({"create", "db/ready"});
    CHECK(container.property("app.service", "ActiveState") == "inactive");
    run_evfdctl_checked({"set", "db/ready"});

    CHECK(start_command.wait() == 0);
    CHECK(container.property("app.service", "ActiveState") == "active");
    CHECK(container.property("evfd-wait@db-ready.service", "ActiveState") == "active");
    run_evfdctl_checked({"delete", "db/ready"});
}

TEST_CASE("a waiting unit continues to wait while the daemon is restarted")
{
    auto& container = Container::instance();
    OutputReader start_command{
        container.command({"systemctl", "start", "evfd-wait@late-riser.service"})};
    REQUIRE(has_waits("late/riser", 1));
    container.run_checked({"systemctl", "restart", "evfdd.service"});
    run_evfdctl_checked({"create", "late/riser"});
    run_evfdctl_checked({"set", "late/riser"});
    CHECK(start_command.wait() == 0);
    run_evfdctl_checked({"delete", "late/riser"});
}

TEST_CASE("evfd-set@ sets an event by its name in systemd's escaping")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"create", "a/name-with_all:of.it"});
    const auto instance = container.run_checked(
        {"systemd-escape", "--template=evfd-set@.service", "a/name-with_all:of.it"});
    container.run_checked({"systemctl", "start", instance});
    CHECK(run_evfdctl({"is-set", "a/name-with_all:of.it"}).status == 0);
    CHECK(container.run({"systemctl", "start", "evfd-set@not-there.service"}).status != 0);
    CHECK(container.property("evfd-set@not-there.service", "ExecMainStatus") == "3");
    container.run_checked({"systemctl", "reset-failed"});
    run_evfdctl_checked({"delete", "a/name-with_all:of.it"});
}

// Returns the text of a unit that sets the event each time that the unit runs.
std::string unit_that_sets(const std::string& event)
{
    return "[Service]\nType=oneshot\nExecStart=evfdctl --system set " + event + "\n";
}

TEST_CASE("evfd-on@ starts the service of the event's name each time the event is set")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"create", "on/runs", "--mode", "semaphore"});
    run_evfdctl_checked({"create", "tidy", "--mode", "semaphore"});
    container.write_unit("tidy.service", unit_that_sets("on/runs"));
    container.run_checked({"systemctl", "start", "evfd-on@tidy.service"});

    for (int i = 0; i < 3; ++i)
        run_evfdctl_checked({"set", "tidy"});
    for (int i = 0; i < 3; ++i)
        run_evfdctl_checked({"wait", "on/runs", "--timeout", "20s"});
    CHECK(has_waits("tidy", 1));
    CHECK(run_evfdctl({"is-set", "on/runs"}).status == 1);

    container.run_checked({"systemctl", "stop", "evfd-on@tidy.service"});
    CHECK(container.property("evfd-on@tidy.service", "Result") == "success");
    run_evfdctl_checked({"delete", "tidy", "on/runs"});
}

TEST_CASE("evfd-on@ starts the unit that its file names")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"create", "on/runs", "--mode", "semaphore"});
    run_evfdctl_checked({"create", "db/full"});
    container.run_checked({"mkdir", "-p", "/etc/evfdd/on"});
    write_file(container.path("/etc/evfdd/on/db-full.conf"), "EVFD_ON_UNIT=vacuum.service\n");
    container.write_unit("vacuum.service", unit_that_sets("on/runs"));
    container.run_checked({"systemctl", "start", "evfd-on@db-full.service"});
    run_evfdctl_checked({"set", "db/full"});
    run_evfdctl_checked({"wait", "on/runs", "--timeout", "20s"});
    container.run_checked({"systemctl", "stop", "evfd-on@db-full.service"});
    run_evfdctl_checked({"delete", "db/full", "on/runs"});
}

TEST_CASE("evfd-on@ runs the command of a drop-in")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"create", "on/runs", "--mode", "semaphore"});
    run_evfdctl_checked({"create", "beat", "--mode", "pulse"});
    container.write_unit("evfd-on@beat.service.d/command.conf",
                         "[Service]\nExecStart=\n"
                         "ExecStart=evfdctl --system on %I -- "
                         "sh -c 'evfdctl --system set on/runs --count $$EVFD_COUNT'\n");
    container.run_checked({"systemctl", "start", "evfd-on@beat.service"});
    REQUIRE(has_waits("beat", 1));
    run_evfdctl_checked({"set", "beat", "--count", "2"});
    for (int i = 0; i < 2; ++i)
        run_evfdctl_checked({"wait", "on/runs", "--timeout", "20s"});
    container.run_checked({"systemctl", "stop", "evfd-on@beat.service"});
    run_evfdctl_checked({"delete", "beat", "on/runs"});
}

TEST_CASE("evfd-on@ continues when its event is deleted and created again")
{
    auto& container = Container::instance();
    run_evfdctl_checked({"create", "on/runs", "--mode", "semaphore"});
    run_evfdctl_checked({"create", "again"});
    container.write_unit("again.service", unit_that_sets("on/runs"));
    container.run_checked({"systemctl", "start", "evfd-on@again.service"});
    REQUIRE(has_waits("again", 1));
    run_evfdctl_checked({"delete", "again"});
    REQUIRE(poll_until(
        [&] { return container.property("evfd-on@again.service", "NRestarts") != "0"; }));
    run_evfdctl_checked({"create", "again"});
    run_evfdctl_checked({"set", "again"});
    run_evfdctl_checked({"wait", "on/runs", "--timeout", "20s"});
    container.run_checked({"systemctl", "stop", "evfd-on@again.service"});
    run_evfdctl_checked({"delete", "again", "on/runs"});
}

// The systemd user manager (see user@.service(5)) of the user nobody. It runs while this object
// lives.
class UserManager {
public:
    UserManager()
    {
        // Sets XDG_RUNTIME_DIR for the user manager. On an ordinary machine, systemd's PAM module
        // sets this variable.
        container_.write_unit("user@.service.d/place.conf",
                              "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n");
        container_.run_checked({"systemctl", "start", unit_});
    }
    ~UserManager() { container_.run({"systemctl", "stop", unit_}); }
    UserManager(const UserManager&) = delete;
    UserManager& operator=(const UserManager&) = delete;

    RunResult run(std::vector<std::string> argv) const
    {
        argv.insert(argv.begin(), {"env", "XDG_RUNTIME_DIR=" + directory()});
        return container_.run_as("nobody", std::move(argv));
    }
    std::string run_checked(std::vector<std::string> argv) const
    {
        auto result = run(std::move(argv));
        INFO(result.err);
        REQUIRE(result.status == 0);
        return result.out;
    }
    std::string directory() const { return "/run/user/" + uid_; }

private:
    Container& container_ = Container::instance();
    std::string uid_ = container_.run_checked({"id", "-u", "nobody"});
    std::string unit_ = "user@" + uid_ + ".service";
};

TEST_CASE("a user's own units run a separate daemon with its own names")
{
    const UserManager user;
    user.run_checked({"systemctl", "--user", "start", "evfdd.socket"});
    user.run_checked({"evfdctl", "--user", "create", "own", "--mode", "auto"});
    CHECK(user.run_checked({"systemctl", "--user", "is-active", "evfdd.service"}) == "active\n");
    CHECK(user.run_checked({"stat", "-c", "%a %U", user.directory() + "/evfdd"}) == "700 nobody\n");
    CHECK(run_evfdctl({"show", "own"}).status == 3);
    user.run_checked({"systemctl", "--user", "start", "evfd-set@own.service"});
    user.run_checked({"systemctl", "--user", "start", "evfd-wait@own.service"});
    // The unit evfd-wait@own has consumed the token, so the event is no longer set.
    CHECK(user.run({"evfdctl", "--user", "is-set", "own"}).status == 1);
}

TEST_CASE("on a terminal, evfdctl reminds a user of the objects of the user's own daemon")
{
    const UserManager user;
    run_evfdctl_checked({"create", "both"});
    user.run_checked({"evfdctl", "--user", "create", "own"});
    // script(1) runs the command on a terminal.
    const auto typed = [&](const std::string& line) {
        return user.run_checked({"script", "--quiet", "--command", line, "/dev/null"});
    };
    const auto message = "your own daemon also has objects (1): use --user"s;
    CHECK(typed("evfdctl list").contains(message));
    CHECK(typed("evfdctl show both").contains(message));
    CHECK(typed("evfdctl wait both --timeout 0").contains(message));
    CHECK(typed("evfdctl set own").contains(message));
    CHECK_FALSE(typed("evfdctl set both").contains(message));
    CHECK_FALSE(typed("evfdctl --system list").contains(message));
    CHECK_FALSE(typed("evfdctl --user list").contains(message));
    // This command runs without script(1), so its standard error is not a terminal.
    CHECK_FALSE(user.run({"evfdctl", "list"}).err.contains(message));
    user.run_checked({"evfdctl", "--user", "delete", "own"});
    CHECK_FALSE(typed("evfdctl list").contains(message));
    run_evfdctl_checked({"delete", "both"});
}

TEST_CASE("a user's socket unit refuses to replace the socket of a running daemon")
{
    const UserManager user;
    // This command starts the user's daemon on demand.
    user.run_checked({"evfdctl", "--user", "create", "precious"});

    CHECK(user.run({"systemctl", "--user", "start", "evfdd.socket"}).status != 0);

    user.run_checked({"evfdctl", "--user", "show", "precious"});
    const auto key = "which deletes them, with: kill "s;
    std::string message;
    auto at = std::string::npos;
    const bool is_logged = poll_until([&] { // journald stores a message with a delay.
        message =
            Container::instance().run_checked({"journalctl", "--no-pager", "--output", "cat"});
        at = message.rfind(key);
        return at != std::string::npos;
    });
    INFO(message);
    REQUIRE(is_logged);
    user.run_checked(
        {"sh", "-c", "kill " + std::to_string(std::stoi(message.substr(at + key.size())))});
    CHECK(poll_until(
        [&] { return user.run({"systemctl", "--user", "start", "evfdd.socket"}).status == 0; }));
    CHECK(user.run({"evfdctl", "--user", "show", "precious"}).status == 3);
}

const std::vector<std::string> all_units{"evfdd.socket", "evfdd.service", "evfd-wait@a-b.service",
                                         "evfd-set@a-b.service", "evfd-on@a-b.service"};

TEST_CASE("systemd-analyze verify reports no problem of the units")
{
    for (const auto* manager : {"--system", "--user"}) {
        std::vector<std::string> argv{
            "env", "XDG_RUNTIME_DIR=/run/user", "systemd-analyze", "verify", "--man=no", manager};
        argv.insert(argv.end(), all_units.begin(), all_units.end());
        const auto result = Container::instance().run(argv);
        CAPTURE(manager);
        CHECK(result.status == 0);
        CHECK(result.out + result.err == "");
    }
}

TEST_CASE("systemd-analyze security rates the exposure of the service at 1.0 or less")
{
    auto& container = Container::instance();
    const auto unit = container.property("evfdd.service", "FragmentPath");
    const auto table = container.run_checked(
        {"systemd-analyze", "security", "--no-pager", "--offline=true", unit});
    const auto key = "Overall exposure level for evfdd.service: "s;
    const auto at = table.find(key);
    INFO(table);
    REQUIRE(at != std::string::npos);
    CHECK(std::stod(table.substr(at + key.size())) <= 1.0);
}

} // namespace
} // namespace evfd::e2e
