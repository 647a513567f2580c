#include "client/core/session.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/scripted_daemon.h"

#include <chrono>
#include <string>
#include <string_view>
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

std::string set_frame(std::string_view name)
{
    return Connection::encode_call(protocol::Set{{{{Name::parse(name).value()}}}}, ReplyMode::none);
}

TEST_CASE("a call that is sent once is neither counted nor repeated on the resumed session")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 30s};
    REQUIRE(line.send_once(set_frame("e")));
    {
        auto connection = daemon.accept();
        CHECK(connection.receive_call().contains("io.evfdd.Resume"));
        CHECK(connection.receive_call() + '\0' == set_frame("e"));
    }
    Expected<protocol::Clear::Reply> reply;
    std::thread next{[&] { reply = line.call(protocol::Clear{{{{"f"_name}}}}); }};
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains(R"("sequence":0)"));
    connection.send_reply(R"({"parameters":{"isHistoryComplete":true}})");
    CHECK(connection.receive_call().contains("io.evfdd.Clear"));
    connection.send_reply(R"({"parameters":{}})");
    next.join();
    CHECK(reply);
}

TEST_CASE("a call that is sent once goes to the next daemon if the connection was lost before")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 30s};
    REQUIRE(line.connect());
    {
        auto connection = daemon.accept();
        connection.receive_call();
    }
    Expected<void> sent = std::unexpected(Error{});
    std::thread sender{[&] { sent = line.send_once(set_frame("e")); }};
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains(R"("sequence":0)"));
    connection.send_reply(R"({"parameters":{"isHistoryComplete":true}})");
    CHECK(connection.receive_call() + '\0' == set_frame("e"));
    sender.join();
    CHECK(sent);
}

TEST_CASE("a call that is sent once fails without a daemon")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    daemon.close();
    Session line{address, 200ms};
    const auto sent = line.send_once(set_frame("e"));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == ErrorCode::no_daemon);
}

TEST_CASE("a daemon that does not read delays calls that are sent once, until the timeout")
{
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 3s};
    int sent_calls = 0;
    auto sent = line.send_once(set_frame("e"));
    for (; sent; ++sent_calls)
        sent = line.send_once(set_frame("e"));
    CHECK(sent.error().code == ErrorCode::no_daemon);
    CHECK(line.is_connected());

    // The daemon reads again. It finds whole calls only, and the session continues.
    auto connection = daemon.accept();
    connection.receive_call();
    for (int i = 0; i < sent_calls; ++i)
        REQUIRE(connection.receive_call() + '\0' == set_frame("e"));
    Expected<protocol::Clear::Reply> reply;
    std::thread next{[&] { reply = line.call(protocol::Clear{{{{"f"_name}}}}); }};
    CHECK(connection.receive_call().contains("io.evfdd.Clear"));
    connection.send_reply(R"({"parameters":{}})");
    next.join();
    CHECK(reply);
}

TEST_CASE("it is unknown whether a remote daemon that does not answer has a call that is sent once")
{
    // Instead of ssh, this command answers the first call, by which the client learns that a daemon
    // answers, and reads all further calls.
    const auto address = Address::at(Remote{.host = "far",
                                            .ssh = R"(head -z -n 1 >/dev/null
                         printf '{"parameters":{"vendor":"","product":"evfdd","version":"",)"
                                                   R"("url":"","interfaces":[]}}\0'
                         cat >/dev/null; :)"});
    Session line{address, 300ms};
    const auto sent = line.send_once(set_frame("e"));
    REQUIRE_FALSE(sent);
    CHECK(sent.error().code == ErrorCode::interrupted);
    CHECK(sent.error().message.contains("is not known"));
    CHECK_FALSE(line.is_connected());
}

TEST_CASE("a call that is sent once waits while the socket is full, and is sent in its order")
{
    constexpr int calls = 3'000;
    ScriptedDaemon daemon;
    const auto address = daemon.address();
    Session line{address, 30s};
    std::thread sender{[&] {
        for (int i = 0; i < calls; ++i)
            if (!line.send_once(set_frame(std::to_string(i))))
                return;
    }};
    auto connection = daemon.accept();
    connection.receive_call();
    int in_order = 0;
    while (in_order < calls &&
           connection.receive_call() + '\0' == set_frame(std::to_string(in_order)))
        ++in_order;
    CHECK(in_order == calls);
    sender.join();
}

} // namespace
} // namespace evfd
