// Tests a daemon that has, for whatever reason, a descriptor of the wrong kind. Each call that
// needs this descriptor is refused, and all other calls work.
#include "common/timerfd.h"
#include "tests/support/service_fixture.h"
#include "tests/support/wall_clock.h"

#include <fcntl.h>

namespace evfd::daemon {
namespace {

// Returns a descriptor of the wrong kind: it can be neither read, watched nor incremented, and it
// is no timer.
UniqueFd foreign()
{
    UniqueFd fd{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    REQUIRE(fd);
    return fd;
}

void make_foreign(const UniqueFd& fd)
{
    REQUIRE(::dup3(foreign().get(), fd.get(), O_CLOEXEC) == fd.get());
}

// Returns a daemon with an event "e" and bob's event "odd". The descriptor of "odd" is of
// the wrong kind.
std::unique_ptr<ServiceFixture> with_foreign_event(const std::string& permissions)
{
    auto daemon = std::make_unique<ServiceFixture>();
    auto client = daemon->connect();
    auto owner = daemon->connect(bob);
    REQUIRE(daemon->request(client, "CreateEvent", R"({"name":"e"})").contains("true"));
    REQUIRE(daemon
                ->request(owner, "CreateEvent",
                          R"({"name":"odd","mode":"auto","permissions":")" + permissions + R"("})")
                .contains("true"));
    REQUIRE_FALSE(
        daemon->request(owner, "Open", R"({"items":[{"name":"odd"}]})").contains("error"));
    make_foreign(daemon->service.registry().objects.find("odd"_name)->event()->fd());
    return daemon;
}

TEST_CASE("calls on an event with a foreign descriptor are refused, and all others are answered")
{
    const auto [method, parameters, more] = GENERATE(table<std::string, std::string, bool>({
        {"Set", R"({"items":[{"name":"odd"}]})", false},
        {"Clear", R"({"items":[{"name":"odd"}]})", false},
        {"Wait", R"({"items":[{"name":"odd"}]})", false},
        {"Wait", R"({"items":[{"name":"e"},{"name":"odd"}],"require":"any"})", false},
        {"Wait", R"({"items":[{"name":"e"},{"name":"odd"}]})",
         false}, // The wait can watch "e" but not "odd".
        {"Monitor", R"({"pattern":"odd"})", true},
    }));
    CAPTURE(method, parameters);
    auto daemon = with_foreign_event("0666");
    auto client = daemon->connect();

    const auto reply = daemon->request(client, method, parameters, more);

    CHECK(reply.contains(R"("error":"io.evfdd.SystemFailure")"));
    CHECK(daemon->service.quota().used_by_all(Resource::waits) == 0);
    CHECK(daemon->service.quota().used_by_all(Resource::monitors) == 0);
    CHECK(daemon->request(client, "Set", R"({"items":[{"name":"e"}]})") == R"({"parameters":{}})");
    CHECK(daemon->request(client, "Wait", R"({"items":[{"name":"e"}]})").contains("fired"));
    auto owner = daemon->connect(bob);
    CHECK(daemon->request(owner, "Delete", R"({"items":[{"name":"odd"}]})") ==
          R"({"parameters":{}})");
}

TEST_CASE("a failed Set is answered again with the same error after a restart")
{
    const auto resume = [](int calls) {
        return R"({"session":"0123456789abcdef0123456789abcdef","sequence":)" +
               std::to_string(calls) + "}";
    };
    auto daemon = with_foreign_event("0666");
    auto client = daemon->connect();
    daemon->request(client, "Resume", resume(0));
    const auto first = daemon->request(client, "Set", R"({"items":[{"name":"odd"}]})");
    REQUIRE(first.contains("SystemFailure"));
    daemon = crash_and_restart(std::move(daemon));
    client = daemon->connect();
    REQUIRE_FALSE(daemon->request(client, "Resume", resume(0)).contains("error"));
    CHECK(daemon->request(client, "Set", R"({"items":[{"name":"odd"}]})") == first);
}

TEST_CASE("a Set that fails after a part of its tokens was added adds no more once it is answered")
{
    const auto is_answered = GENERATE(false, true);
    auto fixture = std::make_unique<RegistryFixture>();
    const std::initializer_list<std::string_view> all{"s", "odd", "more", "unopened"};
    for (const auto name : all)
        fixture->create(name, name == "unopened" ? Mode::manual : Mode::semaphore);
    for (const auto* name : {"s", "odd", "more"})
        fixture->open(name);
    // Makes the daemon's descriptor of "odd" refer to another file. The stash still has the
    // eventfd.
    make_foreign(fixture->event("odd").fd());
    fixture->state_store.commit();

    CHECK(verdict(fixture->registry.set(fixture->owner.peer, set_items(all, 3))) ==
          "SystemFailure");

    CHECK(fixture->event("s").count() == 3U);
    CHECK(fixture->event("more").count() == 0U);
    // The state store records a number together with the intent to increment the eventfds.
    CHECK(fixture->event("unopened").is_set());
    if (is_answered)
        // The effects of a call are committed before the call is answered.
        fixture->state_store.commit();
    fixture = crash_and_restart(std::move(fixture));
    CHECK(fixture->event("s").count() == 3U);
    CHECK(fixture->event("unopened").is_set());
    for (const auto* name : {"odd", "more"})
        CHECK(fixture->event(name).is_set() != is_answered);
}

TEST_CASE("a monitor reports its access to an event that cannot be watched")
{
    // Other users have the permission to set the event, so they see the event.
    auto daemon = with_foreign_event("0602");
    auto client = daemon->connect();
    REQUIRE(daemon->request(client, "Monitor", R"({"pattern":"odd"})", true).contains("present"));
    REQUIRE(client.reply().contains("ready"));
    auto owner = daemon->connect(bob);

    CHECK(daemon->request(owner, "SetPermissions", R"({"name":"odd","permissions":"0666"})") ==
          R"({"parameters":{}})");

    CHECK(client.reply().contains(R"("change":"changed")"));
}

// Subscribes the owner to the object. Replaces the daemon's descriptor of the subscription by one
// of the wrong kind.
Token subscribe_foreign(RegistryFixture& fixture, std::string_view name)
{
    const auto opened = fixture.registry.open(fixture.owner, names({name}));
    REQUIRE(opened);
    const auto token = *Token::parse(*opened->front().subscription);
    make_foreign(
        fixture.registry.objects.find(*Name::parse(name))->subscriptions()->find(token)->fd());
    return token;
}

TEST_CASE("a foreign descriptor among a timer's subscriptions is logged, and the others are armed")
{
    RegistryFixture fixture;
    REQUIRE(fixture.registry.arm(fixture.owner, {.name = "t"_name, .after = 1h}));
    subscribe_foreign(fixture, "t");
    const auto others = fixture.registry.open(fixture.owner, names({"t"}));
    REQUIRE(others);
    const auto& other = others->front().file_descriptor->fd;
    CHECK(verdict(fixture.registry.disarm(make_peer(alice), names({"t"}))) == "SystemFailure");
    CHECK(time_left(other) == 0ns);
    CHECK_FALSE(fixture.registry.objects.find("t"_name)->timer()->is_armed());
    CHECK(verdict(fixture.registry.arm(fixture.owner, {.name = "t"_name, .after = 2h})) ==
          "SystemFailure");
    CHECK(*time_left(other) > 1h);
    CHECK(fixture.registry.objects.find("t"_name)->timer()->is_armed());
    CHECK(verdict(fixture.registry.delete_objects(make_peer(alice), names({"t"}))) == "ok");
}

TEST_CASE("a subscriber with a foreign descriptor can acknowledge a cancelled timer")
{
    WallClockLock wall_clock;
    RegistryFixture fixture;
    const auto first = now_on(Clock::realtime) + 1h;
    REQUIRE(fixture.registry.arm(
        fixture.owner, {.name = "t"_name, .first = first, .cancel_on_clock_change = true}));
    const auto token = subscribe_foreign(fixture, "t");
    REQUIRE(fixture.registry.objects.find("t"_name)->timer()->cancel_by_clock_change());
    CHECK(fixture.registry.acknowledge(fixture.owner, token));
}

TEST_CASE("a pulse with a foreign descriptor is refused, and so is the timer that sets it")
{
    const bool is_persistent = GENERATE(false, true);
    RegistryFixture fixture;
    if (is_persistent)
        fixture.make_owner_resumable();
    fixture.create("p", Mode::pulse);
    subscribe_foreign(fixture, "p");

    CHECK(verdict(fixture.registry.set(make_peer(alice), set_items({"p"}, 1))) == "SystemFailure");

    REQUIRE(
        fixture.registry.arm(fixture.owner, {.name = "t"_name, .first = 1ns, .sets = "p"_name}));
    run_until_idle(fixture.loop);
    CHECK(fixture.registry.objects.find("t"_name)->timer()->has_expired());
    CHECK(fixture.registry.objects.find("t"_name)->timer()->target->backlog == 0);
}

} // namespace
} // namespace evfd::daemon
