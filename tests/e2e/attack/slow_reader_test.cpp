// Tests with clients that do not read their replies, and with clients that disconnect before they
// have read all replies.
#include "tests/support/daemon_process.h"
#include "tests/support/process_status.h"

#include <sys/socket.h>

namespace evfd::e2e {
namespace {

constexpr int pulse_count = 20'000;

void create_pulses(const DaemonProcess& daemon)
{
    WireClient wire{daemon.path()};
    for (int i = 0; i < pulse_count; i += 500) {
        for (int j = i; j < i + 500; ++j)
            wire.call("CreateEvent", {{"name", "n/" + std::to_string(j)}, {"mode", "pulse"}});
        for (int j = i; j < i + 500; ++j)
            REQUIRE_FALSE(wire.reply().contains("error"));
    }
}

// Returns the daemon's resident memory in KiB.
std::uint64_t resident_kib(const DaemonProcess& daemon)
{
    return process_number(daemon.pid(), "status", "VmRSS");
}

std::int64_t objects_in_list(WireClient& wire)
{
    std::int64_t objects = 0;
    while (true) {
        const auto reply = wire.reply();
        objects += static_cast<std::int64_t>(reply["parameters"]["objects"].size());
        if (!reply.contains("continues"))
            return objects;
    }
}

#ifdef EVFDD_SANITIZED
// A sanitizer delays the reuse of freed memory, so the daemon's memory can grow more.
constexpr std::uint64_t max_growth_kib = 300'000;
#else
constexpr std::uint64_t max_growth_kib = 30'000;
#endif

TEST_CASE("clients that never read their long lists use little memory and delay nobody")
{
    const DaemonProcess daemon;
    create_pulses(daemon);
    const auto before = resident_kib(daemon);
    std::vector<WireClient> not_reading;
    for (int i = 0; i < 50; ++i) {
        not_reading.emplace_back(daemon.path());
        for (int j = 0; j < 20; ++j) // The reply to each List has 5 MB.
            not_reading.back().call("List", Json::object(), "more");
    }
    // The sockets are full, and the daemon waits until the clients read.
    REQUIRE(daemon.is_idle());
    // The memory of the daemon must grow little, although the replies to all lists together have 5
    // GB.
    CHECK(resident_kib(daemon) < before + max_growth_kib);

    CHECK(daemon.ctl({"set", "n/7"}).status == 0);
    WireClient other{daemon.path()};
    other.call("List", Json::object(), "more");
    CHECK(objects_in_list(other) == pulse_count);
    const auto idle = daemon.usage();
    CHECK(daemon.usage() == idle);

    // A client that reads late still gets all replies, in order.
    for (int j = 0; j < 2; ++j)
        CHECK(objects_in_list(not_reading.front()) == pulse_count);
    not_reading.clear();
    CHECK(poll_until([&] { return value_or_throw(daemon.client().status()).connections <= 2; }));
}

TEST_CASE("a client that does not read its descriptors gets the next ones only after it reads")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    std::vector<std::string> names;
    for (int i = 0; i < 100; ++i) {
        names.push_back("e/" + std::to_string(i));
        REQUIRE(client.create(names.back()));
    }
    constexpr int calls = 300;
    WireClient not_reading{daemon.path()};
    // The daemon reads no further call while it cannot send a reply, so the socket can be full
    // before all calls are sent. The loop below sends the rest.
    std::string bytes;
    for (int i = 0; i < calls; ++i)
        bytes +=
            Json{{"method", "io.evfdd.Open"}, {"parameters", {{"items", items(names)}}}}.dump() +
            '\0';
    auto sent_bytes = not_reading.send_some(bytes);
    REQUIRE(daemon.is_idle());

    // Each of the 300 replies has 100 descriptors, and the client has read no reply. The daemon
    // must hold the descriptors of fewer than 70 replies, so that other clients can still open
    // events.
    CHECK(client.open("e/7"));
    const auto status = value_or_throw(client.status());
    CHECK(status.descriptors < 100 + 100 * 70);

    for (int i = 0; i < calls; ++i) {
        if (sent_bytes < bytes.size())
            sent_bytes += not_reading.send_some(std::string_view{bytes}.substr(sent_bytes));
        const auto reply = not_reading.reply();
        REQUIRE(reply["parameters"]["objects"].size() == 100);
        REQUIRE(not_reading.descriptors().size() >= 100);
        not_reading.descriptors().erase(not_reading.descriptors().begin(),
                                        not_reading.descriptors().begin() + 100);
    }
    CHECK(sent_bytes == bytes.size());
    CHECK(not_reading.descriptors().empty());
}

TEST_CASE("the daemon drops everything of a client that disconnects before it has read its replies")
{
    const DaemonProcess daemon;
    create_pulses(daemon);
    const auto client = daemon.client();
    REQUIRE(client.delete_object(std::vector{"n/0"s, "n/2"s}));
    REQUIRE(client.create("e"));
    REQUIRE(client.open("e"));
    const auto before = value_or_throw(client.status());
    for (int round = 0; round < 20; ++round) {
        WireClient wire{daemon.path()};
        wire.call("CreateEvent", {{"name", "n/0"}, {"lifetime", "session"}, {"mode", "pulse"}});
        for (int i = 0; i < 10; ++i)
            wire.call("Open", {{"items", items({"e", "n/1"})}});
        wire.call("List", Json::object(), "more");
        wire.call("Wait", {{"items", items({"e"})}});
        CHECK(wire.reply()["parameters"]["created"] == true);
        if (round % 2 == 0)
            CHECK(wire.reply()["parameters"]["objects"].size() == 2);
        {
            const auto closed = std::move(wire);
        }
        REQUIRE(poll_until([&] {
            return value_or_throw(client.status()).connections == before.connections &&
                   !client.show("n/0").has_value();
        }));
    }
    const auto after = value_or_throw(client.status());
    CHECK(after.descriptors == before.descriptors);
    CHECK(after.subscriptions == 0);
    CHECK(after.waits == 0);
    CHECK(after.objects == before.objects);
}

TEST_CASE("a flood of calls from one client does not starve another client")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("e"));
    Worker flood{[&](const WorkerSocket& parent) {
        WireClient wire{daemon.path()};
        std::string calls;
        for (int i = 0; i < 500; ++i)
            calls += Json{{"method", "io.evfdd.Set"},
                          {"parameters", {{"items", items({"e"})}}},
                          {"oneway", true}}
                         .dump() +
                     '\0';
        parent.send(0);
        while (!await_readable(parent.fd().get(), 0ns))
            wire.send(calls);
    }};
    flood.receive();
    for (int i = 0; i < 200; ++i)
        REQUIRE(value_or_throw(client.show("e")).name.text() == "e");
    flood.send(0);
    CHECK(flood.wait() == 0);
}

} // namespace
} // namespace evfd::e2e
