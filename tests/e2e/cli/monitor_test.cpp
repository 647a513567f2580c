// Tests of evfdctl monitor, which prints the current state first and then each change.
#include "tests/support/daemon_process.h"

#include <signal.h>

#include <set>

namespace evfd::e2e {
namespace {

Json next_event(OutputReader& monitor)
{
    const auto line = monitor.read_line();
    REQUIRE(line);
    return Json::parse(*line);
}

// Reads reports of the monitor until a report is of the kind `change` and satisfies `holds`.
// Returns that report. Checks that the sequence numbers have no gap.
Json await_change(
    OutputReader& monitor, std::int64_t& sequence, const std::string& change,
    const std::function<bool(const Json&)>& holds = [](const Json&) { return true; })
{
    while (true) {
        const auto update = next_event(monitor);
        REQUIRE(update["sequence"] == ++sequence);
        if (update["change"] == change && holds(update))
            return update;
    }
}

TEST_CASE("monitor prints the state, ready, and then the changes with their sequence numbers")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "a", "--initial", "1"});
    daemon.checked_ctl({"create", "b", "--mode", "semaphore", "--initial", "3"});
    OutputReader monitor{daemon.ctl_command({"monitor", "--json"})};

    const auto first = next_event(monitor);
    CHECK(first["sequence"] == 1);
    CHECK(first["change"] == "present");
    CHECK(first["name"] == "a");
    CHECK(first["object"]["isSet"] == true);
    const auto second = next_event(monitor);
    CHECK(second["object"]["count"] == 3);
    CHECK(next_event(monitor) == Json::parse(R"({"sequence":3,"change":"ready"})"));

    daemon.checked_ctl({"create", "c"});
    const auto created = next_event(monitor);
    CHECK(created["sequence"] == 4);
    CHECK(created["change"] == "created");
    CHECK(created["object"]["name"] == "c");
    daemon.checked_ctl({"set", "c"});
    auto update = next_event(monitor);
    CHECK(update["change"] == "changed");
    CHECK(update["object"]["isSet"] == true);
    daemon.checked_ctl({"clear", "c"});
    update = next_event(monitor);
    CHECK(update["change"] == "changed");
    CHECK(update["object"]["isSet"] == false);
    daemon.checked_ctl({"chmod", "c", "0600"});
    update = next_event(monitor);
    CHECK(update["change"] == "changed");
    CHECK(update["object"]["permissions"] == "0600");
    daemon.checked_ctl({"delete", "c"});
    CHECK(next_event(monitor) == Json::parse(R"({"sequence":8,"change":"deleted","name":"c"})"));
}

TEST_CASE("monitor ends when its reader closes the pipe, although nothing changes")
{
    const auto words =
        GENERATE(values<std::vector<std::string>>({{"monitor"}, {"monitor", "--json"}}));
    const DaemonProcess daemon;
    OutputReader monitor{daemon.ctl_command(words)};
    while (!monitor.read_line().value_or("ready").contains("ready")) {
    }

    monitor.close_output();

    CHECK(monitor.wait() == -SIGPIPE); // The reader has closed the pipe, so SIGPIPE ends evfdctl.
}

TEST_CASE("monitor exits when its reader closes the pipe and SIGPIPE is ignored")
{
    const DaemonProcess daemon;
    auto command = daemon.ctl_command({"monitor"});
    command.in_child = [] { ::signal(SIGPIPE, SIG_IGN); };
    OutputReader monitor{command};
    while (!monitor.read_line().value_or("ready").contains("ready")) {
    }

    monitor.close_output();

    CHECK(monitor.wait() == 0);
}

TEST_CASE("monitor reports changes made through a descriptor, without a call")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e", {.mode = Mode::semaphore}));
    const auto event = value_or_throw(client.open("e"));
    OutputReader monitor{daemon.ctl_command({"monitor", "--json"})};
    std::int64_t sequence = 0;
    await_change(monitor, sequence, "ready");

    REQUIRE(event.set(2));
    await_change(monitor, sequence, "changed",
                 [](const Json& update) { return update["object"]["count"] == 2; });
    REQUIRE(value_or_throw(event.wait(0ns)) == 1);
    await_change(monitor, sequence, "changed",
                 [](const Json& update) { return update["object"]["count"] == 1; });
}

TEST_CASE("monitor with a pattern reports only matching objects")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "db/a"});
    daemon.checked_ctl({"create", "web/a"});
    OutputReader monitor{daemon.ctl_command({"monitor", "db/*", "--json"})};
    CHECK(next_event(monitor)["name"] == "db/a");
    CHECK(next_event(monitor)["change"] == "ready");
    daemon.checked_ctl({"set", "web/a"});
    daemon.checked_ctl({"create", "web/b"});
    daemon.checked_ctl({"set", "db/a"});
    const auto update = next_event(monitor);
    CHECK(update["name"] == "db/a");
    CHECK(update["change"] == "changed");
    CHECK(update["sequence"] == 3);
}

TEST_CASE("monitor in a pipe prints one tab-separated line for each change at once")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "s", "--mode", "semaphore", "--initial", "2"});
    OutputReader monitor{daemon.ctl_command({"monitor"})};
    CHECK(monitor.read_line() == "present\ts\tsemaphore\t2 tokens");
    CHECK(monitor.read_line() == "ready");
    daemon.checked_ctl({"create", "p", "--mode", "pulse"});
    CHECK(monitor.read_line() == "created\tp\tpulse\t0 subscribers");
    daemon.checked_ctl({"delete", "s"});
    CHECK(monitor.read_line() == "deleted\ts");
    monitor.process().signal(SIGINT);
    CHECK(monitor.wait() == -SIGINT);
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).monitors == 0; }));
}

TEST_CASE("monitor prints colours to a pipe only if asked to, and never in JSON")
{
    const DaemonProcess daemon;
    daemon.checked_ctl({"create", "e"});
    const auto first_line = [&](std::vector<std::string> options) {
        options.insert(options.begin(), "monitor");
        auto command = daemon.ctl_command(std::move(options));
        command.environment = {"NO_COLOR=1", "TERM=xterm"};
        return OutputReader{std::move(command)}.read_line().value();
    };
    CHECK(first_line({}) == "present\te\tmanual\tclear");
    CHECK(first_line({"--color", "auto"}) == "present\te\tmanual\tclear");
    CHECK(first_line({"--color", "always"}).starts_with("\x1b["));
    CHECK_FALSE(first_line({"--color=always", "--json"}).contains('\x1b'));
    CHECK(daemon.ctl({"monitor", "--color", "sometimes"}).status == 2);
}

TEST_CASE("a monitor that was not read reports a resync and then the whole current state")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    wire.call("Monitor", Json::object(), "more");
    REQUIRE(wire.reply()["parameters"]["change"] == "ready");

    // Makes far more changes than fit into the socket buffer of the monitor.
    WireClient busy{daemon.path()};
    constexpr int objects = 3'000;
    for (int i = 0; i < objects; ++i)
        REQUIRE_FALSE(
            busy.request("CreateEvent", {{"name", "n/" + std::to_string(i)}, {"mode", "pulse"}})
                .contains("error"));
    for (int i = 0; i < objects / 2; ++i)
        REQUIRE_FALSE(busy.request("Delete", {{"items", items({"n/" + std::to_string(i)})}})
                          .contains("error"));
    busy.request("CreateEvent", {{"name", "zz/last"}});

    std::set<std::string> known;
    std::int64_t sequence = 1;
    int resyncs = 0;
    while (!known.contains("zz/last")) {
        const auto update = wire.reply()["parameters"];
        REQUIRE(update["sequence"] == ++sequence);
        if (update["change"] == "resync") {
            known.clear();
            ++resyncs;
        } else if (update["change"] == "deleted") {
            CHECK(known.erase(update["name"]) == 1);
        } else if (update["change"] != "ready") {
            known.insert(update["name"]);
        }
    }
    CHECK(resyncs > 0);
    CHECK(known.size() == objects / 2 + 1);
    CHECK_FALSE(known.contains("n/0"));
    CHECK(known.contains("n/2999"));
}

} // namespace
} // namespace evfd::e2e
