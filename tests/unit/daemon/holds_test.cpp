// Tests tokens that a connection or a session holds. Each token returns to its event exactly once,
// when its holder ends.
#include "tests/support/policy_fixture.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>

namespace evfd::daemon {
namespace {

constexpr auto token = "00112233445566778899aabbccddeeff";

std::string resume(ServiceFixture& daemon, TestClient& client, std::int64_t calls = 0)
{
    return daemon.request(client, "Resume",
                          fmt::format(R"({{"session":"{}","sequence":{}}})", token, calls));
}

void create(ServiceFixture& daemon, std::string_view name, std::string_view mode, int initial,
            std::string_view permissions = "0666")
{
    auto owner = daemon.connect();
    const auto reply =
        daemon.request(owner, "CreateEvent",
                       fmt::format(R"({{"name":"{}","mode":"{}","initial":{},"permissions":"{}"}})",
                                   name, mode, initial, permissions));
    REQUIRE(reply.contains("true"));
}

std::unique_ptr<ServiceFixture> with_semaphore(int initial)
{
    auto daemon = std::make_unique<ServiceFixture>();
    create(*daemon, "s", "semaphore", initial);
    return daemon;
}

std::string hold(ServiceFixture& daemon, TestClient& client, std::string_view name = "s",
                 std::string_view more = "")
{
    return daemon.request(
        client, "Wait",
        fmt::format(R"({{"items":[{{"name":"{}"}}],"hold":"session"{}}})", name, more));
}

// Returns whether the reply says that the wait has completed and got one token of the event.
bool has_fired(const std::string& reply, std::string_view name = "s")
{
    return reply.starts_with(
        fmt::format(R"({{"parameters":{{"fired":[{{"name":"{}","count":1,)", name));
}

std::uint64_t tokens(ServiceFixture& daemon, std::string_view name = "s")
{
    auto* object = daemon.service.registry().objects.find(*Name::parse(name));
    REQUIRE(object);
    return *object->event()->count();
}

std::int64_t waits(ServiceFixture& daemon, uid_t uid = alice)
{
    return daemon.service.quota().used(uid, Resource::waits);
}

void disconnect(ServiceFixture& daemon, TestClient& client)
{
    client.socket = {};
    run_until_idle(daemon.loop);
}

TEST_CASE("tokens that a connection holds return to the next waiter when it closes")
{
    const auto [mode, initial] = GENERATE(table<std::string, int>({{"auto", 1}, {"semaphore", 1}}));
    ServiceFixture daemon;
    create(daemon, "e", mode, initial);
    std::deque<TestClient> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(daemon.connect());
        clients.back().call("Wait", R"({"items":[{"name":"e"}],"hold":"session"})");
        run_until_idle(daemon.loop);
    }
    for (auto& client : clients) {
        CHECK(has_fired(client.reply(), "e"));
        CHECK(tokens(daemon, "e") == 0);
        disconnect(daemon, client);
    }
    CHECK(tokens(daemon, "e") == 1);
    CHECK(waits(daemon) == 0);
}

TEST_CASE("an auto event that is set while it is held stays set when it is released")
{
    ServiceFixture daemon;
    create(daemon, "a", "auto", 1);
    auto client = daemon.connect();
    auto other = daemon.connect();
    REQUIRE(has_fired(hold(daemon, client, "a"), "a"));
    daemon.request(other, "Set", R"({"items":[{"name":"a"}]})");
    disconnect(daemon, client);
    CHECK(has_fired(daemon.request(other, "Wait", R"({"items":[{"name":"a"}]})"), "a"));
    CHECK(daemon.request(other, "Wait", R"({"items":[{"name":"a"}],"timeoutNSec":0})")
              .contains("TimedOut"));
}

TEST_CASE("tokens that are consumed without a hold do not return")
{
    auto daemon = with_semaphore(3);
    auto client = daemon->connect();
    REQUIRE(has_fired(daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})")));
    REQUIRE(has_fired(daemon->request(client, "Wait", R"({"items":[{"name":"s"}],"hold":null})")));
    CHECK(waits(*daemon) == 0);
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 1);
}

TEST_CASE("a hold of another kind of object is refused with the reason")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    create(daemon, "m", "manual", 1);
    create(daemon, "p", "pulse", 0);
    daemon.request(client, "Arm", R"({"name":"t","afterNSec":1})");
    const auto name = GENERATE(as<std::string>{}, "m", "p", "t");
    const auto reply = hold(daemon, client, name);
    CHECK(reply.contains("io.evfdd.WrongKind"));
    CHECK(reply.contains("not an auto event or a semaphore"));
    CHECK(waits(daemon) == 0);
}

TEST_CASE("a pending wait with a hold fails when its name is created as an unsuitable kind")
{
    ServiceFixture daemon;
    const auto [mode, permissions, expected] =
        GENERATE(table<std::string, std::string, std::string>({
            {"manual", "0666", "WrongKind"},
            {"pulse", "0666", "WrongKind"},
            {"auto", "0644", R"("access":"set")"},
            {"auto", "0622", R"("access":"wait")"},
            {"auto", "0666", ""},
        }));
    auto client = daemon.connect(bob);
    REQUIRE(hold(daemon, client, "later").empty());
    create(daemon, "later", mode, 0, permissions);
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains(expected));
    CHECK(waits(daemon, bob) == (expected.empty() ? 1 : 0));
}

TEST_CASE("a hold requires the permission to set, from the object and from the policy")
{
    ServiceFixture daemon;
    create(daemon, "db/s", "semaphore", 1, "0644");
    create(daemon, "s", "semaphore", 1);
    auto other = daemon.connect(bob);
    CHECK(hold(daemon, other, "db/s").contains(R"("access":"set")"));
    REQUIRE(hold(daemon, other, "x").empty());
    daemon.service.set_policy(make_policy("\"\" bob -s"));
    run_until_idle(daemon.loop);
    CHECK(other.reply().contains(R"("access":"set")")); // The new policy ends the pending wait.
    const auto by_policy = "the policy of this machine does not let you take from"s;
    CHECK(hold(daemon, other, "s").contains(by_policy));
    CHECK(hold(daemon, other, "later").contains(by_policy));
    CHECK(tokens(daemon) == 1);
    CHECK(waits(daemon, bob) == 0);
}

TEST_CASE("a holder that lost the permission to set still releases its tokens")
{
    auto daemon = with_semaphore(1);
    auto client = daemon->connect(bob);
    auto owner = daemon->connect();
    REQUIRE(has_fired(hold(*daemon, client)));
    daemon->request(owner, "SetPermissions", R"({"name":"s","permissions":"0600"})");
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 1);
}

TEST_CASE("a hold over several names holds all of them, or the fired one with any")
{
    ServiceFixture daemon;
    create(daemon, "a", "auto", 1);
    create(daemon, "s", "semaphore", 2);
    auto client = daemon.connect();
    SECTION("all")
    {
        daemon.request(client, "Wait", R"({"items":[{"name":"s"},{"name":"a"}],"hold":"session"})");
        CHECK(tokens(daemon, "a") == 0);
        CHECK(tokens(daemon, "s") == 1);
        CHECK(waits(daemon) == 2);
    }
    SECTION("any")
    {
        daemon.request(client, "Wait",
                       R"({"items":[{"name":"s"},{"name":"a"}],"require":"any","hold":"session"})");
        CHECK(tokens(daemon, "a") == 1);
        CHECK(tokens(daemon, "s") == 1);
        CHECK(waits(daemon) == 1);
    }
    SECTION("several times in a row")
    {
        for (int i = 0; i < 2; ++i)
            hold(daemon, client);
        hold(daemon, client, "a");
        CHECK(tokens(daemon, "s") == 0);
        CHECK(waits(daemon) == 3);
    }
    disconnect(daemon, client);
    CHECK(tokens(daemon, "a") == 1);
    CHECK(tokens(daemon, "s") == 2);
    CHECK(waits(daemon) == 0);
}

TEST_CASE("a client that disconnects before the reply holds nothing")
{
    auto daemon = with_semaphore(0);
    auto setter = daemon->connect();
    {
        auto client = daemon->connect();
        REQUIRE(hold(*daemon, client).empty());
    }
    run_until_idle(daemon->loop);
    daemon->request(setter, "Set", R"({"items":[{"name":"s"}]})");
    CHECK(tokens(*daemon) == 1);
    CHECK(hold(*daemon, setter, "s", R"(,"timeoutNSec":0)").contains("fired"));
    CHECK(hold(*daemon, setter, "s", R"(,"timeoutNSec":0)").contains("TimedOut"));
    CHECK(waits(*daemon) == 1);
}

TEST_CASE("a oneway wait holds its tokens")
{
    auto daemon = with_semaphore(1);
    auto client = daemon->connect();
    client.send(framed(
        R"({"method":"io.evfdd.Wait","parameters":{"items":[{"name":"s"}],"hold":"session"},"oneway":true})"));
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon) == 0);
    CHECK(waits(*daemon) == 1);
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 1);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("a wait with the more flag reports that it has begun, and then holds")
{
    auto daemon = with_semaphore(2);
    auto client = daemon->connect();
    CHECK(daemon->request(client, "Wait", R"({"items":[{"name":"s"}],"hold":"session"})", true) ==
          R"({"parameters":{"fired":[]},"continues":true})");
    CHECK(has_fired(client.reply()));
    CHECK(has_fired(hold(*daemon, client)));
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 2);
}

TEST_CASE("a deleted object gets no tokens back, and neither does a later object of its name")
{
    auto daemon = with_semaphore(1);
    auto client = daemon->connect();
    auto owner = daemon->connect();
    REQUIRE(has_fired(hold(*daemon, client)));
    daemon->request(owner, "Delete", R"({"items":[{"name":"s"}]})");
    create(*daemon, "s", "semaphore", 5);
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 5);
    CHECK(waits(*daemon) == 0);
}

TEST_CASE("a held event whose lifetime ends with its holding connection is deleted")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    daemon.request(client, "CreateEvent",
                   R"({"name":"s","mode":"semaphore","initial":1,"lifetime":"session"})");
    REQUIRE(has_fired(hold(daemon, client)));
    disconnect(daemon, client);
    CHECK_FALSE(daemon.service.registry().objects.find("s"_name));
    CHECK(waits(daemon) == 0);
}

TEST_CASE("a hold counts towards its user's waits and is refused beyond the limit")
{
    auto limits = default_limits;
    limits.set(Resource::waits, 2);
    ServiceFixture daemon{limits};
    create(daemon, "s", "semaphore", 9);
    auto client = daemon.connect();
    auto second = daemon.connect();
    REQUIRE(has_fired(hold(daemon, client)));
    REQUIRE(has_fired(hold(daemon, second)));
    CHECK(hold(daemon, second).contains(R"("quota":"waits","limit":2)"));
    CHECK(daemon.request(second, "Wait", R"({"items":[{"name":"s"}]})").contains("QuotaExceeded"));
    disconnect(daemon, client);
    CHECK(daemon
              .request(second, "Wait",
                       R"({"items":[{"name":"s"},{"name":"x"}],"hold":"session","timeoutNSec":0})")
              .contains("QuotaExceeded")); // Each name of the wait counts towards the quota.
    CHECK(has_fired(hold(daemon, second)));
}

TEST_CASE("pipelined calls can hold no more than sequential ones")
{
    auto daemon = with_semaphore(1'000);
    auto client = daemon->connect();
    for (std::int64_t i = 0; i < max_tokens_held + 20; ++i)
        client.call("Wait", R"({"items":[{"name":"s"}],"hold":"session"})");
    run_until_idle(daemon->loop);
    std::int64_t held = 0;
    for (auto reply = client.reply(); !reply.empty(); reply = client.reply())
        held += has_fired(reply) ? 1 : 0;
    CHECK(held == max_tokens_held);
    CHECK(tokens(*daemon) == 1'000 - max_tokens_held);
    CHECK(waits(*daemon) == max_tokens_held);
}

TEST_CASE("one connection holds at most as many tokens as a call can have names")
{
    auto daemon = with_semaphore(1'000);
    auto client = daemon->connect();
    for (std::int64_t i = 0; i < max_tokens_held; ++i)
        REQUIRE(has_fired(hold(*daemon, client)));
    const auto refused = hold(*daemon, client);
    CHECK(refused.contains(R"("error":"io.evfdd.TooManyTokens")"));
    CHECK(refused.contains(R"("limit":253)"));
    CHECK(has_fired(daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})")));
    auto second = daemon->connect();
    CHECK(has_fired(hold(*daemon, second)));
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 998);
}

// The tests below crash and restart the daemon.

TEST_CASE("a session keeps its hold across a crash and returns it once")
{
    auto daemon = with_semaphore(3);
    auto client = daemon->connect();
    resume(*daemon, client);
    REQUIRE(has_fired(hold(*daemon, client)));
    std::int64_t calls = 1;
    SECTION("with further calls in between")
    {
        daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
        daemon->request(client, "Set", R"({"items":[{"name":"s"}]})");
        daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})");
        daemon->request(client, "Wait", R"({"items":[{"name":"s"}]})");
        calls += 4;
    }
    SECTION("immediately") {}
    for (int i = 0; i < 3; ++i) {
        daemon = crash_and_restart(std::move(daemon));
        CHECK(tokens(*daemon) == 2);
        CHECK(waits(*daemon) == 1);
        client = daemon->connect();
        REQUIRE(resume(*daemon, client, calls).contains("true"));
        run_until_idle(daemon->loop);
        CHECK(tokens(*daemon) == 2);
        CHECK(waits(*daemon) == 1);
    }
    disconnect(*daemon, client);
    for (int i = 0; i < 3; ++i) {
        CHECK(tokens(*daemon) == 3);
        CHECK(waits(*daemon) == 0);
        daemon = crash_and_restart(std::move(daemon));
    }
}

TEST_CASE("an orphaned session returns its held tokens once, with their charge")
{
    auto daemon = with_semaphore(3);
    auto client = daemon->connect();
    resume(*daemon, client);
    REQUIRE(has_fired(hold(*daemon, client)));
    REQUIRE(has_fired(hold(*daemon, client)));
    daemon = std::make_unique<ServiceFixture>(crash(std::move(daemon)), 0ns);
    run_until_idle(daemon->loop);
    for (int i = 0; i < 2; ++i) {
        CHECK(tokens(*daemon) == 3);
        CHECK(waits(*daemon) == 0);
        daemon = crash_and_restart(std::move(daemon));
    }
}

TEST_CASE("tokens held by a connection without a session return at restart")
{
    auto daemon = with_semaphore(3);
    auto client = daemon->connect();
    REQUIRE(has_fired(hold(*daemon, client)));
    REQUIRE(tokens(*daemon) == 2);
    for (int i = 0; i < 2; ++i) {
        daemon = crash_and_restart(std::move(daemon));
        CHECK(tokens(*daemon) == 3);
        CHECK(waits(*daemon) == 0);
    }
}

TEST_CASE("a client that missed the reply to its hold gets it again, and the hold exists once")
{
    auto daemon = with_semaphore(3);
    auto client = daemon->connect();
    resume(*daemon, client);
    REQUIRE(has_fired(hold(*daemon, client)));
    daemon = crash_and_restart(std::move(daemon));
    client = daemon->connect();
    REQUIRE(resume(*daemon, client, 0).contains("true"));
    SECTION("the client reads the reply")
    {
        CHECK(has_fired(hold(*daemon, client)));
        CHECK(tokens(*daemon) == 2);
    }
    SECTION("the client does not read the reply")
    {
        client.call("Wait", R"({"items":[{"name":"s"}],"hold":"session"})");
        REQUIRE(::shutdown(client.socket.get(), SHUT_RD) == 0);
        run_until_idle(daemon->loop);
    }
    SECTION("the client disconnects") {}
    disconnect(*daemon, client);
    for (int i = 0; i < 2; ++i) {
        CHECK(tokens(*daemon) == 3);
        CHECK(waits(*daemon) == 0);
        daemon = crash_and_restart(std::move(daemon));
    }
}

TEST_CASE("a session forgets held tokens of an object that was deleted meanwhile")
{
    auto daemon = with_semaphore(1);
    auto client = daemon->connect();
    resume(*daemon, client);
    REQUIRE(has_fired(hold(*daemon, client)));
    auto owner = daemon->connect();
    daemon->request(owner, "Delete", R"({"items":[{"name":"s"}]})");
    daemon = crash_and_restart(std::move(daemon));
    client = daemon->connect();
    REQUIRE(resume(*daemon, client, 1).contains("true"));
    create(*daemon, "s", "semaphore", 7);
    disconnect(*daemon, client);
    CHECK(tokens(*daemon) == 7);
    CHECK(waits(*daemon) == 0);
    daemon = crash_and_restart(std::move(daemon));
    CHECK(tokens(*daemon) == 7);
}

TEST_CASE("a connection that holds tokens cannot begin a session")
{
    auto daemon = with_semaphore(1);
    auto client = daemon->connect();
    REQUIRE(has_fired(hold(*daemon, client)));
    CHECK(resume(*daemon, client).contains("InvalidParameter"));
    CHECK(tokens(*daemon) == 0);
}

TEST_CASE("an auto event that was set while a client of a crashed daemon held it ends up set")
{
    auto daemon = std::make_unique<ServiceFixture>();
    create(*daemon, "a", "auto", 1);
    auto client = daemon->connect();
    resume(*daemon, client);
    REQUIRE(has_fired(hold(*daemon, client, "a"), "a"));
    auto other = daemon->connect();
    daemon->request(other, "Set", R"({"items":[{"name":"a"}]})");
    daemon = std::make_unique<ServiceFixture>(crash(std::move(daemon)), 0ns);
    run_until_idle(daemon->loop);
    CHECK(tokens(*daemon, "a") > 0);
    other = daemon->connect();
    CHECK(has_fired(hold(*daemon, other, "a"), "a"));
    CHECK(tokens(*daemon, "a") == 0);
}

} // namespace
} // namespace evfd::daemon
