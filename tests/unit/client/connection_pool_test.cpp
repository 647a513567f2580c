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

TEST_CASE("a wait reply that fires none of the requested names is a protocol error")
{
    const auto* const fired = GENERATE(
        "", R"({"name":"other","count":1,"index":0,"id":7})",
        R"({"name":"e","count":1,"index":1,"id":7})", R"({"name":"e","count":1,"index":2,"id":7})",
        R"({"name":"e","count":1,"index":-1,"id":7})", R"({"name":"e","count":1,"index":0,"id":0})",
        R"({"name":"e","count":1,"index":0,"id":7},{"name":"other","count":1,"index":1,"id":8})");
    ScriptedDaemon daemon;
    const Client client{daemon.address(), 30s};
    Expected<std::vector<protocol::Fired>> reply;
    std::thread waiter{
        [&] { reply = client.wait(std::vector{"e"s, "f"s}, {.require = Require::any}); }};
    auto connection = daemon.accept();
    CHECK(connection.receive_call().contains("io.evfdd.Resume"));
    CHECK(connection.receive_call().contains("io.evfdd.Wait"));
    connection.send_reply(R"({"parameters":{"fired":[)" + std::string{fired} + "]}}");
    waiter.join();
    REQUIRE_FALSE(reply);
    CHECK(reply.error().code == ErrorCode::system);
}

} // namespace
} // namespace evfd
