// Tests the replies of the service as a client reads them.
#include "daemon/service/service.h"

#include "common/protocol/interface.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/service_fixture.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace evfd::daemon {
namespace {

TEST_CASE("GetInfo reports the vendor and the sorted interfaces")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    client.send(framed(R"({"method":"org.varlink.service.GetInfo"})"));
    run_until_idle(daemon.loop);
    CHECK(client.reply() == R"({"parameters":{"vendor":"The evfdd authors","product":"evfdd",)"
                            R"("version":")" EVFDD_VERSION R"(","url":")" EVFDD_URL R"(",)"
                            R"("interfaces":["io.evfdd","org.varlink.service"]}})");
}

TEST_CASE("every interface of GetInfo has a description, and no other does")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const auto describe = [&](std::string_view interface) {
        std::string text;
        json::append_string(text, interface);
        client.send(framed(R"({"method":"org.varlink.service.GetInterfaceDescription",)"
                           R"("parameters":{"interface":)" +
                           text + "}}"));
        run_until_idle(daemon.loop);
        return client.reply();
    };
    for (const auto& interface : protocol::interface_names()) {
        std::string text;
        json::append_string(text, *protocol::interface_text(interface));
        CHECK(describe(interface) == R"({"parameters":{"description":)" + text + "}}");
    }
    for (const auto* interface : {"", "io", "io.evfdd.", "IO.EVFDD"})
        CHECK(describe(interface) == R"({"error":"org.varlink.service.InterfaceNotFound",)"
                                     R"("parameters":{"interface":")"s +
                                         interface + R"("}})");
}

TEST_CASE("a user with many connections leaves the last ones to users with few")
{
    constexpr std::int64_t all = 640;
    ConnectedService daemon{{default_limits}, make_incrementer(), {ample_budget, all}};
    std::vector<ConnectionCharges> held_charges;
    const auto admitted = [&](uid_t uid) {
        auto charges = daemon.service.admit(make_peer(uid));
        if (!charges) {
            CHECK(error_name(charges.error()) == "QuotaExceeded");
            return false;
        }
        held_charges.push_back(*std::move(charges));
        return true;
    };
    const auto admit_up_to_limit = [&](uid_t uid) {
        std::int64_t connections = 0;
        while (connections <= all && admitted(uid))
            ++connections;
        return connections;
    };
    CHECK(admit_up_to_limit(alice) == all - all / 8);
    CHECK(admit_up_to_limit(bob) == all / 64);
    CHECK_FALSE(admitted(alice));
    held_charges.clear();
    CHECK(admitted(alice));
}

TEST_CASE("Show reports an object, and its state to callers that may wait")
{
    ServiceFixture daemon;
    auto owner = daemon.connect(alice);
    auto other = daemon.connect(bob);
    const auto before = wall_now();
    daemon.request(
        owner, "CreateEvent",
        R"({"name":"s","mode":"semaphore","initial":3,"permissions":"0602","lifetime":"session"})");

    const auto shown = daemon.request(owner, "Show", R"({"name":"s"})");

    CHECK(without_ids(shown).starts_with(R"({"parameters":{"object":{"name":"s","kind":"event",)"
                                         R"("mode":"semaphore","ownerUid":2001,"groupGid":2001,)"
                                         R"("creatorPid":4711,"createdNSec":)"));
    CHECK(shown.ends_with(
        R"(,"permissions":"0602","lifetime":"session","waits":0,"isSet":true,"count":3}}})"));
    const auto key = R"("createdNSec":)"s;
    const auto created = std::stoll(shown.substr(shown.find(key) + key.size()));
    CHECK(created >= before.time_since_epoch().count());
    CHECK(created <= wall_now().time_since_epoch().count());

    CHECK(daemon.request(other, "Show", R"({"name":"s"})")
              .ends_with(R"("permissions":"0602","lifetime":"session","waits":0}}})"));
}

TEST_CASE("an object without access is not listed, and Show refuses it")
{
    ServiceFixture daemon;
    auto owner = daemon.connect(alice);
    auto other = daemon.connect(bob);
    daemon.request(owner, "CreateEvent", R"({"name":"s","permissions":"0600"})");
    daemon.request(owner, "CreateEvent",
                   fmt::format(R"({{"name":"user/{}/s","permissions":"0666"}})", alice));
    daemon.request(owner, "CreateEvent", R"({"name":"db/e","permissions":"0666"})");
    daemon.service.set_policy(make_policy("db/ bob -ws"));

    CHECK(daemon.request(other, "List", "{}", true) == R"({"parameters":{"objects":[]}})");
    for (const auto& name : {"s"s, fmt::format("user/{}/s", alice), "db/e"s}) {
        const auto show = R"({"name":")" + name + R"("})";
        CHECK(daemon.request(other, "Show", show).contains("io.evfdd.NotPermitted"));
        CHECK(daemon.request(owner, "Show", show).contains(R"("isSet":false)"));
        CHECK(daemon.request(owner, "List", "{}", true).contains('"' + name + '"'));
    }
    CHECK(daemon.request(other, "Show", R"({"name":"none"})").contains("io.evfdd.NoSuchName"));
}

// Returns the field "lastSet" of the reply to Show, or an empty string if the field is absent.
std::string last_set(ServiceFixture& daemon, TestClient& client, const std::string& name)
{
    const auto shown = daemon.request(client, "Show", R"({"name":")" + name + R"("})");
    const auto begin = shown.find(R"("lastSet":)");
    return begin == shown.npos ? "" : shown.substr(begin, shown.find('}', begin) + 1 - begin);
}

TEST_CASE("Show reports the last setter and its time to callers that may wait")
{
    ServiceFixture daemon;
    auto owner = daemon.connect(alice);
    auto setter = daemon.connect(bob);
    const auto mode = GENERATE("manual"s, "auto"s, "semaphore"s, "pulse"s);
    daemon.request(owner, "CreateEvent",
                   R"({"name":"e","permissions":"0622","mode":")" + mode + R"("})");
    CHECK(last_set(daemon, owner, "e").empty());
    const auto before = wall_now().time_since_epoch().count();

    const auto count = GENERATE(1, 20);
    daemon.request(setter, "Set",
                   R"({"items":[{"name":"e","count":)" + std::to_string(count) + "}]}");
    // A Clear does not change "lastSet".
    daemon.request(owner, "Clear", R"({"items":[{"name":"e"}]})");

    const auto shown = last_set(daemon, owner, "e");
    CHECK(shown.ends_with(R"(,"uid":2002,"pid":4711})"));
    const auto key = R"("atNSec":)"s;
    REQUIRE(shown.contains(key));
    const auto at = std::stoll(shown.substr(shown.find(key) + key.size()));
    CHECK(at >= before);
    CHECK(at <= wall_now().time_since_epoch().count());
    CHECK(last_set(daemon, setter, "e").empty());
}

TEST_CASE("the last setter is the owner for a timer's set, and nobody for a set on a descriptor")
{
    ServiceFixture daemon;
    auto client = daemon.connect(alice);
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    daemon.request(client, "Open", R"({"items":[{"name":"e"}]})");
    REQUIRE(client.descriptors.size() == 1);
    REQUIRE(add(client.descriptors[0], 1));
    CHECK(last_set(daemon, client, "e").empty());

    daemon.request(client, "Arm", R"({"name":"t","afterNSec":1,"sets":"e"})");
    run_until_idle(daemon.loop);
    CHECK(last_set(daemon, client, "e").ends_with(R"(,"uid":2001})"));
    CHECK(last_set(daemon, client, "t").empty());
}

TEST_CASE("the last setter is forgotten at a restart")
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect(alice);
    daemon->request(client, "CreateEvent", R"({"name":"e"})");
    daemon->request(client, "Set", R"({"items":[{"name":"e"}]})");
    CHECK_FALSE(last_set(*daemon, client, "e").empty());
    daemon = crash_and_restart(std::move(daemon));
    client = daemon->connect(alice);
    CHECK(last_set(*daemon, client, "e").empty());
    CHECK(daemon->request(client, "Show", R"({"name":"e"})").contains(R"("isSet":true)"));
}

TEST_CASE("Show reports the count and the subscriptions of a pulse, and that it is never set")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    daemon.request(client, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    const auto opened = daemon.request(client, "Open", R"({"items":[{"name":"p"}]})");
    daemon.request(client, "Set", R"({"items":[{"name":"p","count":4}]})");
    CHECK(daemon.request(client, "Show", R"({"name":"p"})")
              .ends_with(R"("waits":0,"isSet":false,"pulses":4,"subscribers":1}}})"));

    const auto key = R"("subscription":")"s;
    const auto token = opened.substr(opened.find(key) + key.size(), 32);
    CHECK(daemon.request(client, "Unsubscribe", R"({"subscription":")" + token + R"("})") ==
          R"({"parameters":{}})");
    CHECK(daemon.request(client, "Show", R"({"name":"p"})").contains(R"("subscribers":0)"));
}

TEST_CASE("a count beyond 63 bits is reported as a string, and one within them as a number")
{
    const auto [count, shown] = GENERATE(table<std::uint64_t, std::string>({
        {0, R"("isSet":false,"count":0})"},
        {9223372036854775807U, R"("isSet":true,"count":9223372036854775807})"},
        {9223372036854775808U, R"("isSet":true,"largeCount":"9223372036854775808"})"},
        {18446744073709551614U, R"("isSet":true,"largeCount":"18446744073709551614"})"},
    }));
    ServiceFixture daemon;
    auto client = daemon.connect();
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    daemon.request(client, "Open", R"({"items":[{"name":"e"}]})");
    REQUIRE(client.descriptors.size() == 1);
    REQUIRE(add(client.descriptors[0], count));

    CHECK(daemon.request(client, "Show", R"({"name":"e"})").ends_with(shown + "}}"));
}

TEST_CASE("Show reports the number of waits")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    std::deque<TestClient> waiters;
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    for (int i = 0; i < 3; ++i)
        waiters.push_back(daemon.connect());
    for (auto& waiter : waiters)
        daemon.request(waiter, "Wait", R"({"items":[{"name":"e"}]})");
    CHECK(daemon.request(client, "Show", R"({"name":"e"})").contains(R"("waits":3)"));
}

TEST_CASE("a wait with the more flag first reports that it has begun")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto waiter = daemon.connect();
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    waiter.call("Wait", R"({"items":[{"name":"e"},{"name":"later"}]})", true);
    run_until_idle(daemon.loop);
    CHECK(waiter.reply() == R"({"parameters":{"fired":[]},"continues":true})");
    CHECK(waiter.reply().empty());

    daemon.request(client, "Set", R"({"items":[{"name":"e"}]})");
    daemon.request(client, "Clear", R"({"items":[{"name":"e"}]})");
    daemon.request(client, "CreateEvent", R"({"name":"later","initial":1})");
    run_until_idle(daemon.loop);
    const auto fired = R"({"parameters":{"fired":[{"name":"e","count":1,"index":0},)"
                       R"({"name":"later","count":1,"index":1}]}})";
    CHECK(without_ids(waiter.reply()) == fired);

    // The first of the next two waits completes at once. The second wait is refused.
    waiter.call("Wait", R"({"items":[{"name":"later"}],"timeoutNSec":0})", true);
    run_until_idle(daemon.loop);
    CHECK(waiter.reply().contains(R"("continues":true)"));
    CHECK(without_ids(waiter.reply()) ==
          R"({"parameters":{"fired":[{"name":"later","count":1,"index":0}]}})");
    waiter.call("Wait", R"({"items":[{"name":"nowhere","existing":true}]})", true);
    run_until_idle(daemon.loop);
    CHECK(waiter.reply().contains("NoSuchName"));
}

TEST_CASE("List reports all objects that match the pattern, and an empty list without a match")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const std::vector<std::string> names{"db",    "db-x", "db/a", "db/b", "db/x/y",
                                         "db/zz", "dba",  "web",  "zz",   "zzz"};
    const auto all = fmt::format("{}", fmt::join(names, " "));
    for (const auto& name : names)
        daemon.request(client, "CreateEvent", R"({"name":")" + name + R"("})");

    const auto [pattern, listed] = GENERATE_COPY(table<std::string, std::string>({
        {"{}", all},
        {R"({"pattern":"**"})", all},
        {R"({"pattern":"db/*"})", "db/a db/b db/zz"},
        {R"({"pattern":"db/**"})", "db/a db/b db/x/y db/zz"},
        {R"({"pattern":"db*"})", "db db-x dba"},
        {R"({"pattern":"db**"})", "db db-x db/a db/b db/x/y db/zz dba"},
        {R"({"pattern":"db"})", "db"},
        {R"({"pattern":"db/z*"})", "db/zz"},
        {R"({"pattern":"zz*"})", "zz zzz"},
        {R"({"pattern":"zzz*"})", "zzz"},
        {R"({"pattern":"*b"})", "db web"},
        {R"({"pattern":"nothing"})", ""},
        {R"({"pattern":"zzzz*"})", ""},
    }));
    const auto reply = daemon.request(client, "List", pattern, true);
    const auto has = [&](std::string_view name) {
        return reply.contains(R"("name":")" + std::string{name} + "\"");
    };
    for (const auto& name : names) {
        INFO(pattern << " and " << name);
        CHECK(has(name) == (" " + listed + " ").contains(" " + name + " "));
    }
    if (listed.empty())
        CHECK(reply == R"({"parameters":{"objects":[]}})");
    CHECK(client.reply().empty());
}

TEST_CASE("Status counts existing things")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    auto waiter = daemon.connect();
    auto monitor = daemon.connect(bob);
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    daemon.request(client, "CreateEvent", R"({"name":"p","mode":"pulse"})");
    daemon.request(client, "Open", R"({"items":[{"name":"p"}]})");
    daemon.request(waiter, "Wait", R"({"items":[{"name":"e"}]})");
    daemon.request(monitor, "Monitor", "{}", true);

    const auto status = daemon.request(client, "Status");

    CHECK(status.starts_with(R"({"parameters":{"version":")" EVFDD_VERSION R"(","pid":)" +
                             std::to_string(::getpid()) + R"(,"startedNSec":)"));
    CHECK(status.contains(
        R"("objects":2,"connections":3,"waits":1,"monitors":1,"subscriptions":1,"descriptors":)"));
    CHECK(status.contains(R"("descriptorLimit":)"));
}

TEST_CASE("Status counts every open descriptor but those of its own counting")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    const auto descriptors = [&] {
        const auto status = daemon.request(client, "Status");
        const auto key = R"("descriptors":)"s;
        return std::stoll(status.substr(status.find(key) + key.size()));
    };
    const auto before = descriptors();
    CHECK(descriptors() == before);
    const auto one_more = *make_eventfd(0, Counter::plain);
    CHECK(descriptors() == before + 1);
}

TEST_CASE("a refused wait or monitor returns its charge, and one over the limit names the limit")
{
    auto limits = default_limits;
    limits.set(Resource::waits, 1);
    limits.set(Resource::monitors, 1);
    ServiceFixture daemon{limits};
    auto client = daemon.connect();
    for (int i = 0; i < 3; ++i)
        CHECK(daemon.request(client, "Wait", R"({"items":[{"name":"x","existing":true}]})")
                  .contains("NoSuchName"));
    daemon.request(client, "Wait", R"({"items":[{"name":"x"}]})");
    auto second = daemon.connect();
    CHECK(daemon.request(second, "Wait", R"({"items":[{"name":"x"}]})")
              .starts_with(
                  R"({"error":"io.evfdd.QuotaExceeded","parameters":{"quota":"waits","limit":1,)"));
    CHECK(daemon.request(second, "Monitor", "{}", true).contains("ready"));
    auto third = daemon.connect();
    CHECK(
        daemon.request(third, "Monitor", "{}", true).contains(R"("quota":"monitors","limit":1,)"));
}

TEST_CASE("the service is idle without objects and connections")
{
    ServiceFixture daemon;
    CHECK(daemon.service.is_idle());
    {
        auto client = daemon.connect();
        CHECK_FALSE(daemon.service.is_idle());
        daemon.request(client, "CreateEvent", R"({"name":"e"})");
    }
    run_until_idle(daemon.loop);
    CHECK_FALSE(daemon.service.is_idle());
    {
        auto client = daemon.connect();
        daemon.request(client, "Delete", R"({"items":[{"name":"e"}]})");
    }
    run_until_idle(daemon.loop);
    CHECK(daemon.service.is_idle());
}

TEST_CASE("an object that the policy hides from waiters is listed without its state")
{
    ServiceFixture daemon;
    auto owner = daemon.connect(alice);
    auto other = daemon.connect(bob);
    auto root = daemon.connect(0);
    daemon.request(owner, "CreateEvent", R"({"name":"db/e","permissions":"0666"})");
    daemon.request(owner, "CreateEvent", R"({"name":"e","permissions":"0666"})");
    daemon.service.set_policy(make_policy("db/ * -w; db/ alice +w"));
    const auto states = [&](TestClient& client) {
        const auto list = daemon.request(client, "List", "{}", true);
        const auto show = daemon.request(client, "Show", R"({"name":"db/e"})");
        std::size_t listed = 0;
        for (auto at = list.find("isSet"); at != list.npos; at = list.find("isSet", at + 1))
            ++listed;
        return std::pair{listed, show.contains("isSet")};
    };
    CHECK(states(owner) == std::pair{std::size_t{2}, true});
    CHECK(states(other) == std::pair{std::size_t{1}, false});
    CHECK(states(root) == std::pair{std::size_t{2}, true});
}

TEST_CASE("a refusal by the policy names the missing permission")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    daemon.request(client, "CreateEvent", R"({"name":"db/e","permissions":"0666"})");
    daemon.service.set_policy(make_policy("db/ * -cwsd"));
    const auto [method, parameters, right] = GENERATE(table<std::string, std::string, std::string>({
        {"CreateEvent", R"({"name":"db/x"})", "create"},
        {"Arm", R"({"name":"db/x","afterNSec":1})", "create"},
        {"Wait", R"({"items":[{"name":"db/x"}]})", "wait"},
        {"Wait", R"({"items":[{"name":"db/e"}]})", "wait"},
        {"Open", R"({"items":[{"name":"db/e"}]})", "wait"},
        {"Set", R"({"items":[{"name":"db/e"}]})", "set"},
        {"Clear", R"({"items":[{"name":"db/e"}]})", "set"},
        {"Delete", R"({"items":[{"name":"db/e"}]})", "own"},
        {"SetPermissions", R"({"name":"db/e","permissions":"0600"})", "own"},
    }));
    const auto shown = daemon.request(client, method, parameters);
    INFO(shown);
    CHECK(shown.starts_with(R"({"error":"io.evfdd.NotPermitted","parameters":{"name":"db/)"));
    CHECK(shown.contains(R"("access":")" + right + '"'));
    CHECK(shown.contains("the policy of this machine does not let you"));
    CHECK(shown.contains("ask the administrator"));
}

TEST_CASE("a new policy ends the waits that it forbids with an error")
{
    ServiceFixture daemon;
    auto client = daemon.connect();
    client.call("Wait", R"({"items":[{"name":"db/later"}]})");
    run_until_idle(daemon.loop);
    REQUIRE(client.reply().empty());
    daemon.service.set_policy(make_policy("web/ * -w"));
    run_until_idle(daemon.loop);
    CHECK(client.reply().empty());

    daemon.service.set_policy(make_policy("db/ * -w"));
    run_until_idle(daemon.loop);
    CHECK(client.reply().contains("io.evfdd.NotPermitted"));
    // The refusal of the wait has not closed the connection.
    daemon.request(client, "CreateEvent", R"({"name":"e"})");
    CHECK(daemon.request(client, "Wait", R"({"items":[{"name":"e"}],"timeoutNSec":0})")
              .contains("TimedOut"));
}

} // namespace
} // namespace evfd::daemon
