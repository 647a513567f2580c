// Tests that a connection reads the calls of its client in order. If the bytes are not valid calls,
// the connection disconnects the client.
#include "daemon/ipc/connection.h"

#include "tests/support/send_with_fds.h"
#include "tests/support/service_fixture.h"

#include <fcntl.h>

namespace evfd::daemon {
namespace {

const std::string get_info = R"({"method":"org.varlink.service.GetInfo"})";

std::string show(std::string_view name)
{
    return framed(R"({"method":"io.evfdd.Show","parameters":{"name":")" + std::string{name} +
                  R"("}})");
}

TEST_CASE("pipelined calls are answered in order")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    std::string calls;
    for (int i = 0; i < 200; ++i)
        calls += show("n/" + std::to_string(i));
    client.send(calls);
    run_until_idle(daemon.loop);
    for (int i = 0; i < 200; ++i)
        CHECK(client.reply().contains("\"name\":\"n/" + std::to_string(i) + "\""));
    CHECK(client.reply().empty());
}

TEST_CASE("a call that arrives byte by byte is one call")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const auto call = framed(get_info);
    for (const char byte : call) {
        CHECK(client.reply().empty());
        client.send({&byte, 1});
        run_iterations(daemon.loop, 1);
    }
    CHECK(client.reply().contains("\"product\":\"evfdd\""));
}

TEST_CASE("an incomplete call neither blocks other clients nor keeps the daemon busy")
{
    ServiceFixture daemon;
    auto silent = daemon.connect();
    auto other = daemon.connect();
    silent.send(framed(get_info) + get_info.substr(0, 10));
    run_until_idle(daemon.loop);

    CHECK(daemon.loop.run_once(0ns) == 0);
    CHECK(daemon.request(other, "Status").contains("version"));
    CHECK(silent.reply().contains("evfdd"));
    CHECK(silent.reply().empty());
    CHECK_FALSE(silent.is_disconnected());
}

TEST_CASE("a client that closes in the middle of a call gets the replies to its earlier calls")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    client.send(framed(get_info) + get_info.substr(0, 10));
    REQUIRE(::shutdown(client.socket.get(), SHUT_WR) == 0);
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("evfdd"));
    CHECK(client.reply().empty());
    CHECK(client.is_disconnected());
    CHECK(daemon.connections() == 0);
}

TEST_CASE("a client that shuts down sending gets all its replies, also the one to a wait")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto other = daemon.connect();
    daemon.request(other, "CreateEvent", R"({"name":"e"})");
    client.send(framed(get_info));
    client.call("Wait", R"({"items":[{"name":"e"}]})");
    client.send(framed(get_info));
    REQUIRE(::shutdown(client.socket.get(), SHUT_WR) == 0);
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("evfdd"));
    CHECK(client.reply().empty());
    CHECK_FALSE(client.is_disconnected());
    // The client has shut down its socket for writing. The end of file does not keep the daemon
    // awake while the wait is pending.
    CHECK(daemon.loop.run_once(0ns) == 0);

    daemon.request(other, "Set", R"({"items":[{"name":"e"}]})");

    CHECK(without_ids(client.reply()) ==
          R"({"parameters":{"fired":[{"name":"e","count":1,"index":0}]}})");
    CHECK(client.reply().contains("evfdd"));
    CHECK(client.is_disconnected());
}

TEST_CASE("calls of a disconnected client are executed, and its own objects are deleted")
{
    ServiceFixture daemon;
    auto other = daemon.connect();
    {
        auto client = daemon.connect();
        client.call("CreateEvent", R"({"name":"stays"})");
        client.call("CreateEvent", R"({"name":"goes","lifetime":"session"})");
    }
    run_until_idle(daemon.loop);
    CHECK(daemon.connections() == 1);
    CHECK(daemon.request(other, "Show", R"({"name":"stays"})").contains("parameters\":{\"object"));
    CHECK(daemon.request(other, "Show", R"({"name":"goes"})").contains("NoSuchName"));
}

TEST_CASE("calls of a client that shut down reading are executed")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    REQUIRE(::shutdown(client.socket.get(), SHUT_RD) == 0);
    for (int i = 0; i < 100; ++i)
        client.call("CreateEvent", R"({"name":"n/)" + std::to_string(i) + R"("})");
    run_until_idle(daemon.loop);
    CHECK(daemon.service.registry().objects.all().size() == 100);
}

TEST_CASE("a malformed call ends the connection after the replies to earlier calls")
{
    const auto text = GENERATE(
        as<std::string>{}, "", "x", "[]", "null", "\"io.evfdd.Status\"", "{}", R"({"method":1})",
        R"({"method":null})",
        R"({"method":"org.varlink.service.GetInfo","method":"org.varlink.service.GetInfo"})",
        R"({"method":"org.varlink.service.GetInfo","parameters":[]})",
        R"({"method":"org.varlink.service.GetInfo","parameters":{},"parameters":{}})",
        R"({"method":"org.varlink.service.GetInfo","more":1})",
        R"({"method":"org.varlink.service.GetInfo","more":null})",
        R"({"method":"org.varlink.service.GetInfo","oneway":"true"})",
        R"({"method":"org.varlink.service.GetInfo","more":true,"oneway":true})",
        R"({"method":"org.varlink.service.GetInfo","more":true,"more":true})",
        R"({"method":"org.varlink.service.GetInfo"} x)",
        R"({"method":"org.varlink.service.GetInfo"}{"method":"org.varlink.service.GetInfo"})",
        "{\"method\":\"\xff\xfe\"}", "{\"method\":\"org.varlink.service.GetInfo\"", "\n");
    INFO(text);
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto other = daemon.connect();
    client.send(framed(get_info) + framed(text) + framed(get_info));
    run_until_idle(daemon.loop);

    CHECK(client.reply().contains("evfdd"));
    CHECK(client.reply().empty());
    CHECK(client.is_disconnected());
    CHECK(daemon.connections() == 1);
    CHECK(daemon.request(other, "Status").contains("version"));
}

TEST_CASE("a call that is nested 100,000 deep ends the connection and no other")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto other = daemon.connect();
    const std::string deep(100'000, '[');
    static_cast<void>(evfd::send(client.socket, deep + '\0'));
    run_until_idle(daemon.loop);
    CHECK(client.is_disconnected());
    CHECK(daemon.request(other, "Status").contains("version"));
}

TEST_CASE("a call of the maximum length is accepted, and one byte more ends the connection")
{
    const auto [extra, is_accepted] =
        GENERATE(table<std::size_t, bool>({{0, true}, {1, false}, {100, false}}));
    // The daemon refuses a call that is too long even before the end of the call arrives.
    const bool is_ended = GENERATE(true, false);
    if (is_accepted && !is_ended)
        return;
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto call = get_info;
    call.append(max_call_bytes + extra - call.size(), ' ');
    const auto bytes = is_ended ? framed(call) : call;
    constexpr std::size_t at_a_time = 16 * 1024;
    for (std::size_t at = 0; at < bytes.size(); at += at_a_time) {
        // The send fails once the daemon has closed the connection, so its result is ignored.
        static_cast<void>(evfd::send(client.socket, std::string_view{bytes}.substr(at, at_a_time)));
        run_iterations(daemon.loop, 2);
    }
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("evfdd") == is_accepted);
    CHECK(client.is_disconnected() == !is_accepted);
}

TEST_CASE("a oneway call is executed and never answered, whatever its result")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    for (
        const auto* call : {
            R"({"method":"io.evfdd.CreateEvent","parameters":{"name":"e"},"oneway":true})",
            R"({"method":"io.evfdd.CreateEvent","parameters":{"name":"e"},"oneway":true})",
            R"({"method":"io.evfdd.CreateEvent","parameters":{"bad":"e"},"oneway":true})",
            R"({"method":"io.evfdd.Nothing","oneway":true})",
            R"({"method":"other.Thing","oneway":true})",
            R"({"method":"io.evfdd.List","oneway":true})",
            R"({"method":"io.evfdd.Open","parameters":{"items":[{"name":"e"}]},"oneway":true})",
            R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"never"}]},"oneway":true})",
            R"({"method":"io.evfdd.Monitor","oneway":true})",
        })
        client.send(framed(call));
    client.send(framed(get_info));
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("\"product\""));
    CHECK(client.reply().empty());
    CHECK(client.descriptors.empty());
    CHECK(daemon.service.registry().objects.find("e"_name));
    CHECK(daemon.request(client, "Status").contains(R"("waits":0,"monitors":0)"));
}

TEST_CASE("descriptors that arrive with a call are closed, and the call is answered")
{
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end{ends[0]};
    ServiceFixture daemon;
    auto client = daemon.connect();
    {
        const std::array<UniqueFd, 1> sent{UniqueFd{ends[1]}};
        REQUIRE(evfd::send(client.socket, framed(get_info), sent));
    }
    // The write end of the pipe is in flight and therefore still open, see unix(7).
    CHECK_FALSE(is_ready(read_end, POLLHUP));
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("evfdd"));
    CHECK(is_ready(read_end, POLLHUP)); // Every descriptor of the write end is closed.
}

} // namespace
} // namespace evfd::daemon
