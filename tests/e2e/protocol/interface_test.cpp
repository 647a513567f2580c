// Tests of the interface that the daemon describes to its clients, and of calls that are written as
// plain JSON.
#include "common/eventfd.h"
#include "tests/paths.h"
#include "tests/support/daemon_process.h"
#include "tests/support/skip.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

namespace evfd::e2e {
namespace {

Json ask_service(WireClient& wire, const std::string& method,
                 const Json& parameters = Json::object())
{
    wire.send(Json{{"method", "org.varlink.service." + method}, {"parameters", parameters}}.dump() +
              '\0');
    return wire.reply();
}

std::string description(WireClient& wire, const std::string& interface)
{
    return ask_service(wire, "GetInterfaceDescription",
                       {{"interface", interface}})["parameters"]["description"];
}

TEST_CASE("GetInfo and GetInterfaceDescription describe the daemon and its interfaces")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto info = ask_service(wire, "GetInfo")["parameters"];
    CHECK(info["interfaces"] == Json::parse(R"(["io.evfdd","org.varlink.service"])"));
    for (const auto* field : {"vendor", "product", "version", "url"})
        CHECK_FALSE(info[field].get<std::string>().empty());
    CHECK(ask_service(wire, "GetInterfaceDescription", {{"interface", "io.example"}}) ==
          Json{{"error", "org.varlink.service.InterfaceNotFound"},
               {"parameters", {{"interface", "io.example"}}}});
}

TEST_CASE("the served interface is the published one")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    CHECK(description(wire, "io.evfdd") ==
          read_file(EVFDD_SOURCE_DIR "/common/protocol/io.evfdd.varlink"));
}

TEST_CASE("an independent parser accepts both interfaces")
{
    const auto generator = "/usr/bin/varlink-go-interface-generator"s;
    if (::access(generator.c_str(), X_OK) != 0)
        skip("varlink-go-interface-generator is not installed");
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto interface = GENERATE("io.evfdd"s, "org.varlink.service"s);
    const auto path = daemon.directory() / (interface + ".varlink");
    write_file(path, description(wire, interface));
    const auto ran = run({.argv = {generator, path}});
    INFO(ran.err);
    CHECK(ran.status == 0);
    std::string file_name = interface;
    std::erase(file_name, '.');
    const auto code = read_file(daemon.directory() / (file_name + ".go"));
    for (const auto* method : {"Status", "CreateEvent", "Monitor"})
        CHECK(code.contains(method) == (interface == "io.evfdd"));
    if (interface == "org.varlink.service")
        CHECK(code.contains("GetInterfaceDescription"));

    write_file(path, description(wire, interface) + "\nmethod wrong -> ()\n");
    // The interface now ends with an invalid line, so the code generator must reject it.
    CHECK(run({.argv = {generator, path}}).status != 0);
}

TEST_CASE("pipelined opens of 0, 1, 0, 2 and 0 descriptors give each reply its own descriptors")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.create("a", {.initial = 1}));
    REQUIRE(client.create("b", {.mode = Mode::semaphore, .initial = 2}));
    REQUIRE(client.create("c", {.mode = Mode::semaphore, .initial = 3}));
    WireClient wire{daemon.path()};
    wire.call("Status");
    wire.call("Open", {{"items", items({"c"})}});
    wire.call("Show", {{"name", "a"}});
    wire.call("Open", {{"items", items({"b", "a"})}});
    wire.call("Status");

    CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
    const auto one = wire.reply()["parameters"]["objects"];
    CHECK(wire.reply()["parameters"]["object"]["name"] == "a");
    const auto two = wire.reply()["parameters"]["objects"];
    CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());

    CHECK(one[0]["fileDescriptor"] == 0);
    CHECK(two[0]["fileDescriptor"] == 0);
    CHECK(two[1]["fileDescriptor"] == 1);
    REQUIRE(wire.descriptors().size() == 3);
    const auto count = [&](std::size_t index) {
        const auto value = evfd::count(wire.descriptors()[index]);
        return value ? *value : 0;
    };
    CHECK(count(0) == 3);
    CHECK(count(1) == 2);
    CHECK(count(2) == 1);
}

TEST_CASE("every method can be called in plain JSON, with absent parameters if all are optional")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto ok = [&](const std::string& method, const Json& parameters) {
        const auto reply = wire.request(method, parameters);
        INFO(method << ' ' << reply.dump());
        CHECK_FALSE(reply.contains("error"));
        return reply["parameters"];
    };
    CHECK(ok("CreateEvent", {{"name", "p"},
                             {"mode", "pulse"},
                             {"permissions", "0644"},
                             {"lifetime", "permanent"},
                             {"ifMissing", true}})["created"] == true);
    const auto opened = ok("Open", {{"items", items({"p"})}})["objects"][0];
    CHECK(opened["subscription"].get<std::string>().size() == 32);
    ok("Set", {{"items", items({"p"}, {{"count", 2}})}});
    REQUIRE(wire.descriptors().size() == 1);
    CHECK(evfd::count(wire.descriptors()[0]) == 2U);
    ok("Unsubscribe", {{"subscription", opened["subscription"]}});
    ok("Clear", {{"items", items({"p"})}});
    ok("SetPermissions", {{"name", "p"}, {"permissions", "0600"}});
    CHECK(ok("Show", {{"name", "p"}})["object"]["permissions"] == "0600");
    CHECK(wire.request("Wait", {{"items", items({"p"}, {{"existing", true}, {"until", "set"}})},
                                {"require", "any"},
                                {"timeoutNSec", 0}})["error"] == "io.evfdd.TimedOut");
    for (const auto* parameters : {"", R"(,"parameters":null)", R"(,"parameters":{})"}) {
        wire.send(R"({"method":"io.evfdd.List","more":true)"s + parameters + "}" + '\0');
        const auto listed = wire.reply();
        CHECK(listed["parameters"]["objects"][0]["name"] == "p");
        CHECK_FALSE(listed.contains("continues"));
    }
    CHECK(ok("Status", nullptr)["objects"] == 1);
    CHECK(ok("Arm", {{"name", "t"},
                     {"clock", "monotonic"},
                     {"firstNSec", 1},
                     {"intervalNSec", 3'600'000'000'000},
                     {"cancelOnClockChange", false},
                     {"sets", "p"},
                     {"permissions", "0644"},
                     {"lifetime", "permanent"}})["created"] == true);
    CHECK(ok("Arm", {{"name", "t"}, {"afterNSec", 3'600'000'000'000}})["created"] == false);
    const auto timer = ok("Open", {{"items", items({"t"})}})["objects"][0];
    CHECK(timer["kind"] == "timer");
    CHECK(wire.descriptors().size() == 2);
    ok("Acknowledge", {{"subscription", timer["subscription"]}});
    ok("Disarm", {{"items", items({"t"})}});
    CHECK(ok("Show", {{"name", "t"}})["object"]["timer"]["state"] == "disarmed");
    ok("CreateEvent", {{"name", "a"}, {"mode", "auto"}, {"initial", 1}, {"lifetime", "process"}});
    const auto hold = ok("Wait", {{"items", items({"a"})}, {"hold", "process"}})["hold"];
    ok("Join", {{"hold", hold}});
    ok("Release", {{"hold", hold}});
    CHECK(ok("Show", {{"name", "a"}})["object"]["count"] == 1);
    ok("Delete", {{"items", items({"p", "t", "a"})}});
    wire.call("Monitor", {{"pattern", "*"}}, "more");
    const auto update = wire.reply();
    CHECK(update["continues"] == true);
    CHECK(update["parameters"] == Json{{"sequence", 1}, {"change", "ready"}});
}

} // namespace
} // namespace evfd::e2e
