#include "evfd/client.h"
#include "tests/support/catch.h"
#include "tests/support/scripted_daemon.h"

#include <string>
#include <thread>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// Waits for the events e and f of a scripted daemon. `fired` has the elements of the list of fired
// events in the daemon's reply, as JSON text. Returns the result of the wait.
Expected<std::vector<protocol::Fired>> wait_for_e_and_f(Require require, const std::string& fired)
{
    ScriptedDaemon daemon;
    const Client client{daemon.address(), 30s};
    Expected<std::vector<protocol::Fired>> reply;
    std::thread waiter{[&] { reply = client.wait(std::vector{"e"s, "f"s}, {.require = require}); }};
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains("io.evfdd.Resume"));
    CHECK(connection.receive_call().contains("io.evfdd.Wait"));
    connection.send_reply(R"({"parameters":{"fired":[)" + fired + "]}}");
    waiter.join();
    return reply;
}

TEST_CASE("a wait reply that does not match the request is a protocol error")
{
    const auto [require, fired] = GENERATE(table<Require, std::string>({
        {Require::any, ""},
        {Require::any, R"({"name":"other","count":1,"index":0,"id":7})"},
        {Require::any, R"({"name":"e","count":1,"index":1,"id":7})"},
        {Require::any, R"({"name":"e","count":1,"index":2,"id":7})"},
        {Require::any, R"({"name":"e","count":1,"index":-1,"id":7})"},
        {Require::any, R"({"name":"e","count":1,"index":0,"id":0})"},
        {Require::any,
         R"({"name":"e","count":1,"index":0,"id":7},{"name":"f","count":1,"index":1,"id":8})"},
        {Require::all, ""},
        {Require::all, R"({"name":"e","count":1,"index":0,"id":7})"},
        {Require::all,
         R"({"name":"e","count":1,"index":0,"id":7},{"name":"other","count":1,"index":1,"id":8})"},
        {Require::all,
         R"({"name":"e","count":1,"index":0,"id":7},{"name":"e","count":1,"index":0,"id":7})"},
        {Require::all,
         R"({"name":"f","count":1,"index":1,"id":8},{"name":"e","count":1,"index":0,"id":7})"},
        {Require::all,
         R"({"name":"e","count":1,"index":0,"id":7},{"name":"f","count":1,"index":1,"id":8},)"
         R"({"name":"f","count":1,"index":1,"id":8})"},
    }));
    CAPTURE(fired);
    const auto reply = wait_for_e_and_f(require, fired);
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == ErrorCode::system);
}

TEST_CASE("a wait reply has one of the requested items, or all of them in the order of the request")
{
    const auto any = wait_for_e_and_f(Require::any, R"({"name":"f","count":1,"index":1,"id":8})");
    REQUIRE(any);
    REQUIRE(any->size() == 1);
    CHECK(any->front().index == 1);

    const auto all = wait_for_e_and_f(
        Require::all,
        R"({"name":"e","count":1,"index":0,"id":7},{"name":"f","count":2,"index":1,"id":8})");
    REQUIRE(all);
    REQUIRE(all->size() == 2);
    CHECK(all->back().count == 2);
}

TEST_CASE("set_oneway sends its call between the other calls and waits for no reply")
{
    ScriptedDaemon daemon;
    const Client client{daemon.address(), 30s};
    REQUIRE(client.set_oneway(std::vector{"e"s, "f"s}, 3));
    Expected<void> set;
    std::thread setter{[&] { set = client.set(std::vector{"g"s}); }};
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains("io.evfdd.Resume"));
    CHECK(connection.receive_call() ==
          R"({"method":"io.evfdd.Set","parameters":{"items":[{"name":"e","count":3},)"
          R"({"name":"f","count":3}]},"oneway":true})");
    CHECK(connection.receive_call().contains(R"("name":"g")"));
    connection.send_reply(R"({"parameters":{}})");
    setter.join();
    CHECK(set);
}

TEST_CASE("set_oneway refuses invalid arguments before it sends anything")
{
    const ScriptedDaemon daemon;
    const Client client{daemon.address(), 30s};
    for (const auto& sent : {client.set_oneway({}), client.set_oneway(std::vector{"a//b"s}),
                             client.set_oneway(std::vector{"e"s}, 0),
                             client.set_oneway(std::vector{"e"s}, max_tokens_per_set + 1)}) {
        REQUIRE_FALSE(sent);
        CHECK(sent.error().code == ErrorCode::invalid);
    }
    CHECK_FALSE(daemon.has_pending_connection());
}

} // namespace
} // namespace evfd
