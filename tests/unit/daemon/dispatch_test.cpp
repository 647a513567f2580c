#include "daemon/service/dispatch.h"

#include "tests/support/service_fixture.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

std::string request(ServiceFixture& daemon, TestClient& client, std::string_view call)
{
    client.send(framed(call));
    run_until_idle(daemon.loop);
    return client.reply();
}

TEST_CASE("an unknown method or interface gets the standard error with its name")
{
    const auto [method, reply] = GENERATE(table<std::string, std::string>({
        {"other.Thing",
         R"({"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"other"}})"},
        {"io.evfdd2.Set",
         R"({"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io.evfdd2"}})"},
        {"io.evfdd",
         R"({"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":"io"}})"},
        {"Set",
         R"({"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":""}})"},
        {"", R"({"error":"org.varlink.service.InterfaceNotFound","parameters":{"interface":""}})"},
        {"io.evfdd.Nothing",
         R"({"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.evfdd.Nothing"}})"},
        {"io.evfdd.",
         R"({"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.evfdd."}})"},
        {"io.evfdd.set",
         R"({"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.evfdd.set"}})"},
        {"io.evfdd.GetInfo",
         R"({"error":"org.varlink.service.MethodNotFound","parameters":{"method":"io.evfdd.GetInfo"}})"},
        {"org.varlink.service.Set",
         R"({"error":"org.varlink.service.MethodNotFound","parameters":{"method":"org.varlink.service.Set"}})"},
    }));
    ServiceFixture daemon;
    auto client = daemon.connect();
    CHECK(request(daemon, client, R"({"method":")" + method + R"("})") == reply);
    CHECK_FALSE(client.is_disconnected());
}

TEST_CASE("a streaming method is refused without the more flag before any other error")
{
    const auto call =
        GENERATE(as<std::string>{}, R"({"method":"io.evfdd.List"})",
                 R"({"method":"io.evfdd.Monitor"})", R"({"method":"io.evfdd.List","more":false})",
                 R"({"method":"io.evfdd.List","parameters":{"bad":1}})");
    ServiceFixture daemon;
    auto client = daemon.connect();
    CHECK(request(daemon, client, call) ==
          R"({"error":"org.varlink.service.ExpectedMore","parameters":{}})");
}

TEST_CASE("a method that does not stream sends one reply even with the more flag")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const auto reply =
        request(daemon, client, R"({"method":"org.varlink.service.GetInfo","more":true})");
    CHECK(reply.contains("product"));
    CHECK_FALSE(reply.contains("continues"));
}

TEST_CASE("a missing, wrong, unknown or repeated field is reported by name")
{
    const auto [method, parameters, field] = GENERATE(table<std::string, std::string, std::string>({
        {"CreateEvent", "{}", "name"},
        {"CreateEvent", R"({"name":1})", "name"},
        {"CreateEvent", R"({"name":"a b"})", "name"},
        {"CreateEvent", R"({"name":"e","name":"e"})", "name"},
        {"CreateEvent", R"({"name":"e","mode":"lunar"})", "mode"},
        {"CreateEvent", R"({"name":"e","initial":-1})", "initial"},
        {"CreateEvent", R"({"name":"e","initial":4294967296})", "initial"},
        {"CreateEvent", R"({"name":"e","initial":18446744073709551616})", "initial"},
        {"CreateEvent", R"({"name":"e","initial":1.5})", "initial"},
        {"CreateEvent", R"({"name":"e","mode":"pulse","initial":1})", "initial"},
        {"CreateEvent", R"({"name":"e","permissions":"1777"})", "permissions"},
        {"CreateEvent", R"({"name":"e","other":1})", "other"},
        {"CreateEvent", R"({"name":"e","":1})", ""},
        {"Open", R"({"items":[]})", "items"},
        {"Open", R"({"items":[{"name":"a"},{"name":"a"}]})", "items"},
        {"Open", R"({"items":[{"name":"a b"}]})", "name"},
        {"Open", R"({"items":[{"name":"a","id":0}]})", "id"},
        {"Set", R"({"items":[{"name":"a","count":0}]})", "count"},
        {"Set", R"({"items":[{"name":"a","count":16385}]})", "count"},
        {"Wait", R"({"items":[{"name":"a"}],"timeoutNSec":-1})", "timeoutNSec"},
        {"Wait", R"({"items":[{"name":"a"}],"require":"some"})", "require"},
        {"Wait", R"({"items":[{"name":"a"}],"hold":true})", "hold"},
        // The field "until" is not supported yet.
        {"Wait", R"({"items":[{"name":"a","until":"clear"}]})", "until"},
        {"Unsubscribe", R"({"subscription":"x"})", "subscription"},
        {"Unsubscribe", R"({"subscription":"00000000000000000000000000000000"})", "subscription"},
        {"Acknowledge", R"({"subscription":"x"})", "subscription"},
        {"Acknowledge", R"({"subscription":"00000000000000000000000000000000"})", "subscription"},
        {"Status", R"({"x":1})", "x"},
    }));
    INFO(method << " " << parameters);
    ServiceFixture daemon;
    auto client = daemon.connect();
    CHECK(daemon.request(client, method, parameters) ==
          R"({"error":"org.varlink.service.InvalidParameter","parameters":{"parameter":")" + field +
              R"("}})");
    CHECK(daemon.service.registry().objects.all().empty());
}

TEST_CASE("absent parameters, null and an empty object are the same to a method")
{
    const auto parameters =
        GENERATE(as<std::string>{}, "", R"(,"parameters":null)", R"(,"parameters":{})");
    ServiceFixture daemon;
    auto client = daemon.connect();
    CHECK(request(daemon, client, R"({"method":"io.evfdd.Status")" + parameters + "}")
              .contains("version"));
}

TEST_CASE("a refusal is sent as its error with all of its fields")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const auto reply = daemon.request(client, "Set", R"({"items":[{"name":"x"}]})");
    CHECK(reply.starts_with(
        R"({"error":"io.evfdd.NoSuchName","parameters":{"name":"x","message":"there is no)"));
}

TEST_CASE("a refused call polls no timer")
{
    ServiceFixture daemon;
    auto& service = daemon.service;
    const UniqueFd no_socket;
    Session owner{service.registry().ids.next(), make_peer(alice)};
    Session other{service.registry().ids.next(), make_peer(bob)};
    const auto as = [&](Session& session) { return Caller{session, [] {}, no_socket, 0ns}; };
    auto by_owner = as(owner);
    auto by_other = as(other);
    REQUIRE(service.handle(by_owner, protocol::CreateEvent{"a"_name, Mode::automatic}));
    const auto begin = now_on(Clock::monotonic);
    REQUIRE(service.handle(by_owner, protocol::Arm{.name = "t"_name,
                                                   .clock = Clock::monotonic,
                                                   .after = 1ms,
                                                   .sets = "a"_name,
                                                   .permissions = "0600"_permissions}));
    // The timer expires during this wait, in which the loop does not run.
    wait_until(Clock::monotonic, begin + 10ms);
    auto& event = *service.registry().objects.find("a"_name)->event();

    CHECK_FALSE(service.handle(by_other, protocol::Disarm{names({"t"})}));
    CHECK_FALSE(service.handle(by_other, protocol::Delete{names({"t"})}));
    CHECK_FALSE(service.handle(by_other, protocol::SetPermissions{"t"_name, "0666"_permissions}));
    CHECK_FALSE(service.handle(by_other, protocol::Arm{.name = "t"_name, .after = 1ms}));
    CHECK_FALSE(service.handle(by_other, protocol::Wait{.items = wait_items({"t"})}));
    CHECK_FALSE(event.is_set());

    CHECK(service.handle(by_owner, protocol::Disarm{names({"t"})}));
    CHECK(event.is_set());
}

} // namespace
} // namespace evfd::daemon
