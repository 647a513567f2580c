// Tests of attacks on the limits of epoll(7): the number of paths from an event to epoll sets, and
// the number of watches of a user (fs.epoll.max_user_watches). Also tests calls whose cost could
// grow with the objects of other users.
#include "tests/e2e/attack/attack.h"
#include "tests/support/resource_limits.h"
#include "tests/support/skip.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

namespace evfd::e2e {
namespace {

std::string error_of(const Json& reply)
{
    return reply.value("error", "none");
}

UniqueFd open_fd(WireClient& wire, const std::string& name)
{
    const auto reply = wire.request("Open", {{"items", items({name})}});
    require(error_of(reply) == "none" && wire.descriptors().size() == 1, "the open failed");
    auto fd = std::move(wire.descriptors().front());
    wire.descriptors().pop_front();
    return fd;
}

// Adds the event to nested epoll sets until the kernel refuses to add another path to the event.
void use_up_paths(const UniqueFd& event)
{
    UniqueFd outer{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<UniqueFd> inner;
    epoll_event wanted{.events = EPOLLIN, .data = {}};
    do {
        require(inner.size() < 1'000, "the kernel allows more than 1000 paths");
        inner.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
        require(::epoll_ctl(inner.back().get(), EPOLL_CTL_ADD, event.get(), &wanted) == 0,
                "the epoll set does not accept the event");
    } while (::epoll_ctl(outer.get(), EPOLL_CTL_ADD, inner.back().get(), &wanted) == 0);
    require(errno == EINVAL, "the epoll set does not accept a nested one");
    for (auto& one : inner)
        (void)one.release(); // Leaves the descriptor open until the process exits.
    (void)outer.release();
}

TEST_CASE("an event is watched whatever epoll sets its holders build")
{
    skip_unless_root();
    const DaemonProcess daemon;
    for (const auto* mode : {"manual", "auto"})
        daemon.checked_ctl({"create", mode, "--mode", mode, "--permissions", "0666"});
    Worker holder = start_attacker([&](const WorkerSocket& parent) {
        WireClient wire{daemon.path()};
        const auto manual = open_fd(wire, "manual");
        const auto automatic = open_fd(wire, "auto");
        use_up_paths(manual);
        use_up_paths(automatic);
        parent.send(0);
        parent.receive(); // Blocks until the process is killed.
    });
    holder.receive();

    WireClient monitor{daemon.path()};
    monitor.call("Monitor", {{"pattern", "*"}}, "more");
    while (monitor.reply()["parameters"]["change"] != "ready") {
    }
    for (const auto* name : {"manual", "auto"}) {
        WireClient waiting{daemon.path()};
        waiting.call("Wait", {{"items", items({name})}});
        REQUIRE(daemon.has_waits(name, 1));
        daemon.checked_ctl({"set", name});
        CHECK(error_of(waiting.reply()) == "none");
        CHECK(monitor.reply()["parameters"]["name"] == name);
    }
}

// The test uses up the epoll watches of the user (fs.epoll.max_user_watches) before the daemon
// starts.
TEST_CASE("a daemon without room in its epoll sets refuses only waits for events that others hold")
{
    Worker worker{[](const WorkerSocket& parent) {
        const bool is_used_up = exhaust_epoll_watches();
        parent.send(is_used_up ? 1 : 0);
        if (!is_used_up)
            return;
        DaemonProcess daemon;
        WireClient one{daemon.path()};
        WireClient other{daemon.path()};
        const auto done = [&](std::string_view method, const Json& parameters) {
            const auto reply = one.request(method, parameters);
            require(error_of(reply) == "none", std::string{method} + ": " + reply.dump());
        };
        const auto wait_and_set = [&](const std::string& name) {
            other.call("Wait", {{"items", items({name})}});
            require(daemon.has_waits(name, 1), "the wait is not pending");
            done("Set", {{"items", items({name})}});
            require(error_of(other.reply()) == "none", "the wait did not end by the set");
        };
        const auto is_refused = [&](const Json& reply) {
            return error_of(reply) == "io.evfdd.SystemFailure" &&
                   reply["parameters"]["message"].get<std::string>().contains("max_user_watches");
        };
        for (const auto* mode : {"manual", "auto", "semaphore"}) {
            done("CreateEvent", {{"name", mode}, {"mode", mode}, {"permissions", "0666"}});
            wait_and_set(mode);
            done("Clear", {{"items", items({mode})}});
        }
        done("Arm", {{"name", "timer"}, {"afterNSec", 1'000'000}, {"sets", "auto"}});
        require(error_of(other.request("Wait", {{"items", items({"auto"})}})) == "none",
                "the timer did not expire");
        done("Open", {{"items", items({"manual"})}});
        one.descriptors().clear();
        require(is_refused(other.request("Wait", {{"items", items({"manual"})}})),
                "the call was not refused");
        wait_and_set("auto");
        std::vector<WireClient> clients;
        for (int i = 0; i < 200; ++i) {
            clients.emplace_back(daemon.path());
            require(error_of(clients.back().request("Show", {{"name", "auto"}})) == "none",
                    "the show failed");
        }
        daemon.process().signal(SIGTERM);
        require(daemon.process().wait() == 0, "the daemon does not exit");
    }};
    if (worker.receive() == 0)
        skip("seccomp(2) cannot be used");
    CHECK(worker.wait() == 0);
}

TEST_CASE("repeated opens by a user that may only wait create one watch for each event")
{
    skip_unless_root();
    const DaemonProcess daemon;
    const auto client = connected_client(daemon);
    for (int i = 0; i < 10; ++i)
        daemon.checked_ctl({"create", fmt::format("event/{}", i), "--permissions", "0644"});
    for (int i = 0; i < 10; ++i)
        value_or_throw(client.open(fmt::format("event/{}", i)));
    check_withstands(daemon, "repeated opens by a user that may only wait", [&] {
        Worker worker = start_attacker([&](const WorkerSocket&) {
            WireClient wire{daemon.path()};
            std::vector<std::string> names;
            for (int i = 0; i < 10; ++i)
                names.push_back(fmt::format("event/{}", i));
            for (int i = 0; i < scale_rounds(200); ++i) {
                require(error_of(wire.request("Open", {{"items", items(names)}})) == "none",
                        "the open failed");
                wire.descriptors().clear();
            }
            wire.call("Quotas", Json::object(), "more");
            const auto quotas = wire.reply()["parameters"]["users"].at(0)["quotas"];
            const auto subscriptions = std::ranges::find_if(
                quotas, [](const auto& quota) { return quota["quota"] == "subscriptions"; });
            require(subscriptions != quotas.end() && (*subscriptions)["used"] == 10,
                    "the user does not have one subscription for each event");
        });
        CHECK(worker.wait() == 0);
    });
}

TEST_CASE("Status and Metrics open nothing, however many objects exist")
{
    skip_unless_strace();
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto calls_for = [&](const auto& method) {
        const auto calls = trace_system_calls(daemon, [&] { wire.request(method); });
        return std::ranges::count_if(calls, [](const auto& line) {
            return line.contains("getdents") || line.contains("open");
        });
    };
    for (int i = 0; i < 100; ++i)
        wire.request("CreateEvent", {{"name", std::to_string(i)}});
    for (const auto* method : {"Status", "Metrics"})
        CHECK(calls_for(method) == 0);
    // The count in the reply to Status includes all descriptors of the daemon.
    CHECK(wire.request("Status")["parameters"]["descriptors"] == descriptors_of(daemon.pid()));
}

TEST_CASE("the log is rate limited for lines that a client can cause")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    constexpr int many = 500;
    const auto begin = monotonic_now();
    for (int i = 0; i < many; ++i) {
        const auto name = fmt::format("event/{}", i);
        wire.request("CreateEvent", {{"name", name}});
        const auto fd = open_fd(wire, name);
        const std::uint64_t full = 0xfffffffffffffffe;
        REQUIRE(::write(fd.get(), &full, sizeof full) == sizeof full);
        REQUIRE(wire.request("Show", {{"name", name}})["parameters"]["object"]["isSet"] == true);
        wire.request("Delete", {{"items", items({name})}});
    }
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(monotonic_now() - begin).count();
    int lines = 0;
    const auto log = daemon.log();
    for (std::size_t at = 0; (at = log.find("filled the counter", at)) != std::string::npos; ++at)
        ++lines;
    CHECK(lines > 0);
    constexpr int max_per_second = 20;
    CHECK(lines <= max_per_second * (seconds + 1));
}

} // namespace
} // namespace evfd::e2e
