// Tests of a daemon that runs out of descriptors. The daemon refuses calls that need another
// descriptor, and executes all other calls.
#include "daemon/store/descriptor_budget.h"
#include "tests/support/daemon_process.h"

#include <poll.h>

namespace evfd::e2e {
namespace {

constexpr rlim_t descriptor_limit = 128;
// The daemon reserves some descriptors for clients and some for itself. If the limit is low, the
// daemon uses half of the remaining descriptors for opened events, subscriptions and processes. The
// daemon keeps the other half free for its recovery. The recovery opens all descriptors of a
// stashed message at once, even those that no object needs.
constexpr rlim_t max_opened_events =
    (descriptor_limit - rlim_t{daemon::reserved_daemon_fds + daemon::reserved_client_fds}) / 2;

Command limited_command()
{
    return {.argv = {}, .descriptor_limit = descriptor_limit};
}

TEST_CASE("open reports that no descriptor is left for an event, and works again after a delete",
          "[alone]")
{
    const DaemonProcess daemon{{}, limited_command()};
    WireClient wire{daemon.path()};
    std::vector<std::string> opened;
    Json refusal;
    while (opened.size() < descriptor_limit) {
        const auto name = "e/" + std::to_string(opened.size());
        REQUIRE_FALSE(wire.request("CreateEvent", {{"name", name}}).contains("error"));
        refusal = wire.request("Open", {{"items", items({name})}});
        wire.descriptors().clear();
        if (refusal.contains("error"))
            break;
        opened.push_back(name);
    }
    CHECK(refusal["error"] == "io.evfdd.OutOfDescriptors");
    CHECK(refusal["parameters"]["limit"] == descriptor_limit);
    REQUIRE(opened.size() == max_opened_events);

    const auto client = daemon.client();
    REQUIRE(client.create("one/more"));
    const auto refused = client.open("one/more");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message.contains("128 descriptors; delete events"));
    // Calls by name need no descriptor.
    CHECK(client.set(std::vector{"one/more"s}));
    CHECK(daemon.ctl({"wait", "one/more"}).status == 0);
    CHECK_FALSE(wire.request("Set", {{"items", items(opened)}}).contains("error"));
    CHECK(wire.request("Show", {{"name", opened.back()}})["parameters"]["object"]["isSet"] == true);
    CHECK(daemon.ctl({"wait", opened.front()}).status == 0);
    CHECK(value_or_throw(value_or_throw(client.open(opened.front())).wait(default_timeout)) == 1);

    daemon.checked_ctl({"delete", opened.front()});
    CHECK(client.open("one/more"));
}

TEST_CASE("an open of a pulse is refused when no descriptor is left for the subscription",
          "[alone]")
{
    const DaemonProcess daemon{{}, limited_command()};
    const auto client = daemon.client();
    REQUIRE(client.create("p", {.mode = Mode::pulse}));
    std::vector<Event> subscribers;
    auto next = client.open("p");
    while (next && subscribers.size() < descriptor_limit) {
        subscribers.push_back(*std::move(next));
        next = client.open("p");
    }
    REQUIRE_FALSE(next);
    CHECK(next.error().code == ErrorCode::refused);
    REQUIRE(subscribers.size() > 2);
    REQUIRE(client.set(std::vector{"p"s}));
    for (const auto& subscriber : subscribers)
        CHECK(value_or_throw(subscriber.wait(0ns)) == 1);
    subscribers.pop_back();
    subscribers.pop_back();
    CHECK(poll_until([&] { return client.open("p").has_value(); }));
}

TEST_CASE("a client for which no descriptor is left gets the reason, and others are still served",
          "[alone]")
{
    const DaemonProcess daemon{{}, limited_command()};
    WireClient first{daemon.path()};
    REQUIRE_FALSE(first.request("CreateEvent", {{"name", "e"}}).contains("error"));
    WireClient waiting{daemon.path()};
    waiting.call("Wait", {{"items", items({"e"})}});
    REQUIRE(daemon.has_waits("e", 1));

    std::vector<WireClient> clients;
    std::optional<Json> refusal;
    while (!refusal && clients.size() < 2 * descriptor_limit) {
        clients.emplace_back(daemon.path());
        clients.back().call("Status");
        if (auto reply = clients.back().reply(); reply.contains("error"))
            refusal = std::move(reply);
    }
    REQUIRE(refusal);
    CHECK((*refusal)["error"] == "io.evfdd.OutOfDescriptors");
    CHECK(clients.back().read_to_end().empty()); // The daemon has closed the connection.
    const auto refused = daemon.ctl({"status"});
    CHECK(refused.status == 4);
    CHECK(refused.err.contains("close connections"));
    CHECK(daemon.is_idle()); // The daemon is idle, so it does not try to accept again and again.
    const auto before = daemon.usage();
    CHECK_FALSE(await_readable(waiting.socket().get(), 100ms));
    CHECK(daemon.usage() == before);

    CHECK(first.request("Set", {{"items", items({"e"})}}) == Json{{"parameters", Json::object()}});
    CHECK(waiting.reply()["parameters"]["fired"][0]["name"] == "e");
    CHECK(first.request("Status")["parameters"]["objects"] == 1);

    clients.clear();
    CHECK(poll_until([&] { return daemon.ctl({"status"}).status == 0; }));
}

TEST_CASE("an open that needs a descriptor is refused when none is left, and other calls succeed",
          "[alone]")
{
    const DaemonProcess daemon{{}, limited_command()};
    WireClient wire{daemon.path()};
    REQUIRE_FALSE(wire.request("CreateEvent", {{"name", "e"}}).contains("error"));
    REQUIRE_FALSE(
        wire.request("CreateEvent", {{"name", "p"}, {"mode", "pulse"}}).contains("error"));
    std::vector<WireClient> clients;
    bool is_full = false;
    while (!is_full) {
        clients.emplace_back(daemon.path());
        clients.back().call("Status");
        is_full = clients.back().reply().contains("error");
    }
    const auto parameters =
        GENERATE(Json{{"items", items({"e"})}}, Json{{"items", items({"e", "p"})}});
    CHECK(wire.request("Open", parameters)["error"] == "io.evfdd.OutOfDescriptors");
    CHECK_FALSE(wire.request("CreateEvent", {{"name", "f"}}).contains("error"));
    CHECK_FALSE(wire.request("Set", {{"items", items({"e", "p"})}}).contains("error"));
    CHECK(wire.request("Show", {{"name", "p"}})["parameters"]["object"]["subscribers"] == 0);
    CHECK(wire.request("Show", {{"name", "e"}})["parameters"]["object"]["isSet"] == true);

    clients.clear();
    CHECK(poll_until([&] { return !wire.request("Open", parameters).contains("error"); }));
}

} // namespace
} // namespace evfd::e2e
