#include "client/core/session.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/scripted_daemon.h"

#include <chrono>
#include <string>
#include <thread>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST_CASE("a pending call is sent again on the resumed session")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 30s};
    Expected<protocol::Set::Reply> reply;
    std::thread caller{[&] { reply = line.call(protocol::Set{{{{"e"_name}}}}); }};
    std::string call;
    {
        auto connection = daemon.accept();
        CHECK(connection.receive_call().contains(R"("sequence":0)"));
        call = connection.receive_call();
    }
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains(R"("sequence":0)"));
    connection.send_reply(R"({"parameters":{"isHistoryComplete":true}})");
    CHECK(connection.receive_call() == call);
    connection.send_reply(R"({"parameters":{}})");
    caller.join();
    CHECK(reply);
}

// A client that abandons a call does not know whether the daemon has executed it. The client
// therefore begins a new session. In the old session, the daemon could take the next call for a
// repetition of the abandoned call, and send the cached reply instead of executing the next call.
TEST_CASE("the reply to an abandoned call is not taken for the reply to the next call")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 200ms};
    Expected<protocol::Set::Reply> abandoned;
    std::thread caller{[&] { abandoned = line.call(protocol::Set{{{{"e"_name}}}}); }};
    std::string began;
    {
        auto connection = daemon.accept();
        began = connection.receive_call();
        connection.receive_call();
        daemon.close(); // From now on the client finds no daemon.
    }
    caller.join();
    REQUIRE_FALSE(abandoned);
    CHECK(abandoned.error().code == ErrorCode::no_daemon);

    daemon.listen();
    Expected<protocol::Clear::Reply> reply;
    std::thread next{[&] { reply = line.call(protocol::Clear{{{{"f"_name}}}}); }};
    auto connection = daemon.accept();
    const auto begins = connection.receive_call();
    CHECK(begins.contains("io.evfdd.Resume"));
    CHECK(begins != began);
    CHECK(begins.contains(R"("oneway":true)"));
    const auto call = begins.contains("oneway") ? connection.receive_call() : ""s;
    CHECK(call.contains("io.evfdd.Clear"));
    connection.send_reply(R"({"parameters":{}})");
    next.join();
    CHECK(reply);
}

} // namespace
} // namespace evfd
