// Tests of invalid bytes from one client, which another client of the same daemon must not notice.
#include "tests/support/daemon_process.h"

#include "common/limits.h"
#include "common/socket.h"
#include "tests/support/kernel_calls.h"
#include "tests/support/send_with_fds.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>

namespace evfd::e2e {
namespace {

// A second client of the daemon. It makes valid calls before, during and after the invalid input of
// the first client.
class OtherClient {
public:
    explicit OtherClient(const DaemonProcess& daemon) : daemon_{daemon}, wire_{daemon.path()}
    {
        wire_.request("CreateEvent", {{"name", "mine"}, {"mode", "semaphore"}, {"initial", 2}});
        waiting_.emplace(daemon.path()).call("Wait", {{"items", items({"later"})}});
        require(daemon.has_waits("later", 1), "the wait is not pending");
    }
    // Returns whether this client's first connection still works, and whether the wait on its
    // second connection completes.
    bool is_unaffected()
    {
        const auto object = wire_.request("Show", {{"name", "mine"}})["parameters"]["object"];
        wire_.request("CreateEvent", {{"name", "later"}, {"initial", 1}});
        return object["count"] == 2 && object["waits"] == 0 &&
               waiting_->reply()["parameters"]["fired"][0]["name"] == "later" &&
               value_or_throw(daemon_.client().status()).pid == daemon_.pid();
    }

private:
    const DaemonProcess& daemon_;
    WireClient wire_;
    std::optional<WireClient> waiting_;
};

std::string frame(std::string_view text)
{
    return std::string{text} + '\0';
}

const std::string valid_call = frame(R"({"method":"io.evfdd.Status"})");

struct BadFrame {
    std::string title;
    std::string bytes;
};

std::vector<BadFrame> bad_frames()
{
    const std::string deep(100'000, '[');
    std::string deep_object;
    for (int i = 0; i < 10'000; ++i)
        deep_object += R"({"a":)";
    return {
        {"not JSON", frame("GET / HTTP/1.1\r\n")},
        {"nothing", frame("")},
        {"blank", frame(" ")},
        {"an array", frame("[]")},
        {"a number", frame("7")},
        {"a string", frame("\"io.evfdd.Status\"")},
        {"null", frame("null")},
        {"no method", frame("{}")},
        {"no object as parameters", frame(R"({"method":"io.evfdd.Status","parameters":[]})")},
        {"a repeated method", frame(R"({"method":"io.evfdd.Status","method":"io.evfdd.Status"})")},
        {"repeated parameters",
         frame(R"({"method":"io.evfdd.Status","parameters":{},"parameters":{}})")},
        {"a flag that is no boolean", frame(R"({"method":"io.evfdd.Status","more":1})")},
        {"two flags", frame(R"({"method":"io.evfdd.Status","more":true,"oneway":true})")},
        {"a method that is no string", frame(R"({"method":7})")},
        {"text after the object", frame(R"({"method":"io.evfdd.Status"} {})")},
        {"invalid UTF-8", frame("{\"method\":\"io.evfdd.\xff\xfe\"}")},
        {"overlong UTF-8", frame("{\"method\":\"io.evfdd.\xc0\xaf\"}")},
        {"half a surrogate", frame(R"({"method":"io.evfdd.\ud800"})")},
        {"arrays 100,000 deep", deep.substr(0, max_call_bytes - 1) + '\0'},
        {"arrays 100,000 deep within",
         frame(R"({"method":"io.evfdd.Show","parameters":{"name":)" + deep.substr(0, 60'000))},
        {"objects 10,000 deep", frame(deep_object)},
        {"half an object", frame(R"({"method":"io.evfdd.Status")")},
        {"a trailing comma", frame(R"({"method":"io.evfdd.Status",})")},
    };
}

TEST_CASE(
    "an invalid message ends its connection after the earlier replies, and no other connection")
{
    const DaemonProcess daemon;
    OtherClient other_client{daemon};
    for (const auto& frame_case : bad_frames()) {
        INFO(frame_case.title);
        WireClient wire{daemon.path()};
        wire.send(valid_call + frame_case.bytes + valid_call);
        CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
        // The daemon disconnects after the invalid frame, so it does not reply to the valid call
        // behind that frame.
        CHECK(wire.read_to_end().empty());
    }
    CHECK(other_client.is_unaffected());
}

TEST_CASE("a call of exactly the size limit is answered, and one more byte ends the connection")
{
    const DaemonProcess daemon;
    OtherClient other_client{daemon};
    const auto padded = [](std::size_t size) {
        std::string text = R"({"method":"io.evfdd.Status"})";
        text.insert(1, std::string(size - text.size(), ' '));
        return text;
    };
    WireClient wire{daemon.path()};
    wire.send(frame(padded(max_call_bytes)));
    CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
    // The second call is one byte too long and lacks the zero byte that would end it. The daemon
    // disconnects without waiting for the zero byte.
    wire.send(valid_call + padded(max_call_bytes + 1));
    CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
    CHECK(wire.read_to_end().empty());

    WireClient endless{daemon.path()};
    for (int i = 0; i < 100; ++i)
        endless.send(std::string(64 * 1024, 'x'));
    CHECK(endless.read_to_end().empty());
    CHECK(other_client.is_unaffected());
}

TEST_CASE("an invalid field is named in the error, and the connection continues")
{
    const DaemonProcess daemon;
    OtherClient other_client{daemon};
    const auto deep = std::string(10'000, '[') + std::string(10'000, ']');
    const auto cases = std::vector<std::array<std::string, 3>>{
        {"CreateEvent", R"({})", "name"},
        {"CreateEvent", R"({"name":7})", "name"},
        {"CreateEvent", R"({"name":"a//b"})", "name"},
        {"CreateEvent", R"({"name":"n","initial":-1})", "initial"},
        {"CreateEvent", R"({"name":"n","initial":4294967296})", "initial"},
        {"CreateEvent", R"({"name":"n","initial":18446744073709551616})", "initial"},
        {"CreateEvent", R"({"name":"n","initial":1.5})", "initial"},
        {"CreateEvent", R"({"name":"n","initial":1e3})", "initial"},
        {"CreateEvent", R"({"name":"n","initial":1e999})", "initial"},
        {"CreateEvent", R"({"name":"n\u0000"})", "name"},
        {"CreateEvent", R"({"name":"n","mode":"auto\u0000"})", "mode"},
        {"CreateEvent", R"({"name":)" + deep + "}", "name"},
        {"CreateEvent", R"({"name":"n","extra":)" + deep + "}", "extra"},
        {"CreateEvent", R"({"name":"n","\u0000":1})", std::string(1, '\0')},
        {"Unsubscribe", R"({"subscription":"\u0000"})", "subscription"},
        {"CreateEvent", R"({"name":"n","mode":"sometimes"})", "mode"},
        {"CreateEvent", R"({"name":"n","mode":"pulse","initial":1})", "initial"},
        {"CreateEvent", R"({"name":"n","permissions":"1777"})", "permissions"},
        {"CreateEvent", R"({"name":"n","lifetime":"long"})", "lifetime"},
        {"CreateEvent", R"({"name":"n","ifMissing":1})", "ifMissing"},
        {"CreateEvent", R"({"name":"n","extra":1})", "extra"},
        {"CreateEvent", R"({"name":"n","name":"m"})", "name"},
        {"Set", R"({"items":[{"name":"mine","count":0}]})", "count"},
        {"Set", R"({"items":[{"name":"mine","count":16385}]})", "count"},
        {"Set", R"({"items":[{"name":"mine","count":9223372036854775808}]})", "count"},
        {"Set", R"({"items":[]})", "items"},
        {"Set", R"({"items":[{"name":"mine"},{"name":"mine"}]})", "items"},
        {"Set", R"({"items":"mine"})", "items"},
        {"Wait", R"({"items":[{"name":"mine"}],"timeoutNSec":-1})", "timeoutNSec"},
        {"Wait", R"({"items":[{"name":"mine"}],"timeoutNSec":0.5})", "timeoutNSec"},
        {"Wait", R"({"items":[{"name":"mine"}],"require":"some"})", "require"},
        {"SetPermissions", R"({"name":"mine"})", "permissions"},
        {"Unsubscribe", R"({"subscription":"none of mine"})", "subscription"},
    };
    WireClient wire{daemon.path()};
    for (const auto& [method, parameters, field] : cases) {
        INFO(method << parameters);
        wire.send(
            frame(R"({"method":"io.evfdd.)" + method + R"(","parameters":)" + parameters + "}"));
        CHECK(wire.reply() == Json{{"error", "org.varlink.service.InvalidParameter"},
                                   {"parameters", {{"parameter", field}}}});
    }
    CHECK(wire.request("Status")["parameters"]["objects"] == 1);
    CHECK(other_client.is_unaffected());
}

TEST_CASE("an unknown key beside the method is ignored")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    for (const auto* key : {R"("org.example.trace":{"id":1})", R"("\u0000":1e999)", R"("":[])"}) {
        INFO(key);
        wire.send(frame(std::string{R"({"method":"io.evfdd.Status",)"} + key + "}"));
        CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
    }
}

TEST_CASE("an upgrade to another protocol is refused, and the connection continues")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    wire.send(frame(R"({"method":"io.evfdd.Status","upgrade":true})"));
    CHECK(wire.reply() == Json{{"error", "org.varlink.service.InvalidParameter"},
                               {"parameters", {{"parameter", "upgrade"}}}});
    CHECK(wire.request("Status")["parameters"]["pid"] == daemon.pid());
}

TEST_CASE("the most and longest names fit in one call, even with every character escaped")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    std::string items;
    std::string first;
    for (std::size_t i = 0; i < max_names_per_call; ++i) {
        const auto name = "n/" + std::to_string(1000 + i);
        const auto padded = name + std::string(max_name_bytes - name.size(), 'x');
        items += items.empty() ? R"({"name":")" : R"(,{"name":")";
        for (const char c : padded)
            items += fmt::format("\\u{:04X}", c);
        items += R"(","count":1})";
        if (first.empty())
            first = padded;
        wire.call("CreateEvent", {{"name", padded}}, "oneway");
    }
    wire.send(frame(R"({"method":"io.evfdd.Set","parameters":{"items":[)" + items + "]}}"));
    CHECK(wire.reply() == Json{{"parameters", Json::object()}});
    CHECK(wire.request("Show", {{"name", first}})["parameters"]["object"]["isSet"] == true);
}

TEST_CASE("an unknown method or interface is named in the error, and the connection continues")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    const auto [method, error, parameters] = GENERATE(table<std::string, std::string, std::string>({
        {"org.example.Do", "InterfaceNotFound", R"({"interface":"org.example"})"},
        {"Do", "InterfaceNotFound", R"({"interface":""})"},
        {"", "InterfaceNotFound", R"({"interface":""})"},
        {"io.evfdd.Do", "MethodNotFound", R"({"method":"io.evfdd.Do"})"},
        {"io.evfdd.", "MethodNotFound", R"({"method":"io.evfdd."})"},
        {std::string("io.evfdd.Status\0", 16), "MethodNotFound",
         R"({"method":"io.evfdd.Status\u0000"})"},
        {"io.evfdd.List", "ExpectedMore", "{}"},
        {"io.evfdd.Monitor", "ExpectedMore", "{}"},
    }));
    wire.send(frame(Json{{"method", method}}.dump()));
    CHECK(wire.reply() ==
          Json{{"error", "org.varlink.service." + error}, {"parameters", Json::parse(parameters)}});
    CHECK(wire.request("Status")["parameters"]["pid"] == daemon.pid());
}

TEST_CASE("the daemon does not keep descriptors that are sent with a call")
{
    const auto options = GENERATE(values<std::vector<std::string>>({{}, without_pass_rights}));
    CAPTURE(options);
    const DaemonProcess daemon{options};
    OtherClient other_client{daemon};
    WireClient wire{daemon.path()};
    wire.request("Status");
    const auto descriptors = [&] {
        return wire.request("Status")["parameters"]["descriptors"].get<int>();
    };
    const auto before = descriptors();

    std::vector<UniqueFd> passed;
    for (int i = 0; i < 50; ++i)
        passed.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (int i = 0; i < 20; ++i) {
        WireClient careless{daemon.path()};
        const auto sent = evfd::send(careless.socket(), valid_call, passed);
        CHECK((sent ? 0 : sent.error().error) == (are_descriptors_refused(options) ? EPERM : 0));
        if (sent)
            CHECK(careless.read_to_end().empty());
    }
    CHECK(poll_until([&] { return descriptors() == before; }));
    CHECK(other_client.is_unaffected());
}

TEST_CASE("clients that stop in the middle of a message delay nobody")
{
    const DaemonProcess daemon;
    OtherClient other_client{daemon};
    std::vector<WireClient> silent;
    for (int i = 0; i < 100; ++i) {
        silent.emplace_back(daemon.path());
        silent.back().send(valid_call +
                           valid_call.substr(0, static_cast<std::size_t>(i) % valid_call.size()));
        CHECK(silent.back().reply()["parameters"]["pid"] == daemon.pid());
    }
    CHECK(other_client.is_unaffected());
    // Sends the rest of some of the incomplete calls, to which the daemon must still reply.
    for (std::size_t i = 0; i < silent.size(); i += 10) {
        silent[i].send(valid_call.substr(i % valid_call.size()));
        CHECK(silent[i].reply()["parameters"]["pid"] == daemon.pid());
    }
}

TEST_CASE("calls sent byte by byte and many calls sent at once are answered in order")
{
    const DaemonProcess daemon;
    WireClient wire{daemon.path()};
    for (const char byte : valid_call)
        wire.send({&byte, 1});
    CHECK(wire.reply()["parameters"]["pid"] == daemon.pid());
    // The daemon has room for 200 unread replies, so the test can send all calls before it reads.
    constexpr int many = 200;
    for (int i = 0; i < many; ++i)
        wire.call("Show", {{"name", "n/" + std::to_string(i)}});
    for (int i = 0; i < many; ++i)
        CHECK(wire.reply()["parameters"]["name"] == "n/" + std::to_string(i));
}

TEST_CASE("the calls of a client that disconnects without reading are executed")
{
    const DaemonProcess daemon;
    {
        WireClient wire{daemon.path()};
        wire.call("CreateEvent", {{"name", "a"}});
        wire.call("CreateEvent", {{"name", "b"}}, "oneway");
        wire.call("Set", {{"items", items({"a"})}}, "oneway");
    }
    CHECK(poll_until([&] { return daemon.ctl({"is-set", "a"}).status == 0; }));
    WireClient half{daemon.path()};
    half.call("Show", {{"name", "b"}});
    REQUIRE(::shutdown(half.socket().get(), SHUT_WR) == 0);
    CHECK(half.reply()["parameters"]["object"]["name"] == "b");
    CHECK(half.read_to_end().empty());
}

} // namespace
} // namespace evfd::e2e
