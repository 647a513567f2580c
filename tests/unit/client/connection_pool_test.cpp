#include "evfd/client.h"
#include "tests/support/scripted_daemon.h"
#include "tests/support/catch.h"

#include <string>
#include <thread>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

TEST_CASE("an answer to a wait that has nothing of what was asked for is not understood")
{
    const auto* const fired = GENERATE("", R"({"name":"other","count":1})",
                                       R"({"name":"e","count":1},{"name":"other","count":1})");
    ByHand daemon;
    const Client client{daemon.address(), 30s};
    Try<std::vector<protocol::Fired>> answer;
    std::thread waiter{
        [&] { answer = client.wait(std::vector{"e"s, "f"s}, {.gather = Gather::any}); }};
    auto connection = daemon.accept();
    CHECK(connection.hear().contains("io.evfdd.Resume"));
    CHECK(connection.hear().contains("io.evfdd.Wait"));
    connection.say(R"({"parameters":{"fired":[)" + std::string{fired} + "]}}");
    waiter.join();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == ErrorCode::system);
}

} // namespace
} // namespace evfd
