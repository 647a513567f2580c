#include "daemon/waiting/waits.h"

#include "tests/support/policy_fixture.h"
#include "tests/support/service_fixture.h"

#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

constexpr auto all = Require::all;
constexpr auto any = Require::any;

// A wait that a test began, and the number of its wake-ups.
struct Waiter {
    std::shared_ptr<int> wakeups = std::make_shared<int>(0);
    Outcome<std::unique_ptr<Wait>> started;

    // Returns "waits" for a pending wait. For a completed wait, returns the names and counts in its
    // result. For a failed wait, returns the name of the error.
    std::string state()
    {
        if (!started)
            return error_name(started.error());
        const auto& outcome = (*started)->outcome();
        if (!outcome)
            return "waits";
        if (!*outcome)
            return error_name(outcome->error());
        std::string text;
        for (const auto& one : (*outcome)->fired)
            text += (text.empty() ? "" : " ") + std::string{one.name.text()} + "=" +
                    std::to_string(one.count);
        return text;
    }
};

Waiter start(RegistryFixture& fixture, protocol::Wait request, uid_t uid = alice)
{
    auto charge = fixture.quota.charge(uid, Resource::waits);
    REQUIRE(charge);
    auto wakeups = std::make_shared<int>(0);
    return {wakeups,
            fixture.start(make_peer(uid), *std::move(charge), request, [wakeups] { ++*wakeups; })};
}

Waiter start(RegistryFixture& fixture, std::initializer_list<std::string_view> list,
             Require require = all)
{
    return start(fixture, {.items = wait_items(list), .require = require});
}

void set(RegistryFixture& fixture, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({name}, tokens)));
}

TEST_CASE("a wait with a count for a missing name completes or is refused at its creation")
{
    RegistryFixture fixture;
    auto waiter = start(fixture, {.items = wait_items({"later"}, 2), .require = all});
    REQUIRE(waiter.state() == "waits");
    const auto [mode, state] =
        GENERATE(table<Mode, std::string>({{Mode::manual, "WrongKind"},
                                           {Mode::semaphore, "InvalidParameter"},
                                           {Mode::pulse, "later=2"}}));
    fixture.create("later", mode);
    set(fixture, "later", 2);
    CHECK(waiter.state() == state);
    CHECK(*waiter.wakeups == 1);
}

TEST_CASE("a wait for a set object completes at once and consumes as its mode says")
{
    const auto [mode, left] = GENERATE(table<Mode, std::uint64_t>(
        {{Mode::manual, 1}, {Mode::automatic, 0}, {Mode::semaphore, 1}}));
    RegistryFixture fixture;
    fixture.create("e", mode, 2);
    CHECK(start(fixture, {"e"}).state() == "e=1");
    CHECK(fixture.event("e").count() == left);
}

TEST_CASE("a wait is woken once, by a set through the daemon and by one on the descriptor")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const bool is_direct = GENERATE(false, true);
    RegistryFixture fixture;
    fixture.create("e", mode);
    const auto client = fixture.open("e");
    auto waiter = start(fixture, {"e"});
    CHECK(waiter.state() == "waits");

    if (is_direct)
        REQUIRE(add(client, 1));
    else
        set(fixture, "e");
    run_until_idle(fixture.loop);

    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakeups == 1);
    CHECK(fixture.waits.waiter_count("e"_name) == 0);
    // The event has no observer any more.
    CHECK_FALSE(is_needed(*fixture.registry.objects.find("e"_name)));
}

TEST_CASE("a wait for any completes with the first set name and consumes no other")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::semaphore);
    fixture.create("b", Mode::semaphore);
    auto waiter = start(fixture, {"a", "b"}, any);
    set(fixture, "b");
    set(fixture, "a");
    CHECK(waiter.state() == "b=1");
    CHECK(fixture.event("a").count() == 1U);
    CHECK(fixture.event("b").count() == 0U);
}

TEST_CASE("a wait for all consumes from all at once or from none, and lists them in order")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("b", Mode::semaphore);
    fixture.create("c", Mode::manual);
    auto waiter = start(fixture, {"c", "b", "a"});
    set(fixture, "a");
    set(fixture, "c");
    CHECK(waiter.state() == "waits");
    CHECK(fixture.event("a").is_set()); // The wait for all has consumed no token yet.

    set(fixture, "b", 2);

    CHECK(waiter.state() == "c=1 b=1 a=1");
    CHECK_FALSE(fixture.event("a").is_set());
    CHECK(fixture.event("b").count() == 1U);
    CHECK(fixture.event("c").is_set());
}

TEST_CASE("others may consume what an incomplete wait for all needs")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("b", Mode::automatic);
    auto both = start(fixture, {"a", "b"});
    auto one = start(fixture, {"a"});

    set(fixture, "a");
    CHECK(one.state() == "a=1");
    set(fixture, "b");
    CHECK(both.state() == "waits");
    set(fixture, "a");
    CHECK(both.state() == "a=1 b=1");
}

TEST_CASE("a manual event that was set since the wait began suffices for a wait for all")
{
    RegistryFixture fixture;
    fixture.create("m");
    fixture.create("a", Mode::automatic);
    const auto client = fixture.open("m");
    const bool was_set_before = GENERATE(false, true);
    if (was_set_before)
        REQUIRE(add(client, 1));
    auto waiter = start(fixture, {"m", "a"});
    if (!was_set_before)
        REQUIRE(add(client, 1));
    REQUIRE(take(client)); // The client clears the event at once.
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == "waits");

    set(fixture, "a");

    CHECK(waiter.state() == "m=1 a=1");
}

TEST_CASE("events during an incomplete wait for all count in the end")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("m");
    fixture.create("p", Mode::pulse);
    const auto client = fixture.open("m");
    auto waiter = start(fixture, {"a", "m", "p"});
    set(fixture, "p");
    REQUIRE(add(client, 1));
    run_until_idle(fixture.loop);
    REQUIRE(take(client));
    run_until_idle(fixture.loop);
    set(fixture, "p", 2);
    CHECK(waiter.state() == "waits");

    set(fixture, "a");

    CHECK(waiter.state() == "a=1 m=1 p=3");
    CHECK(*waiter.wakeups == 1);
}

TEST_CASE(
    "a manual event that is set and cleared at once releases all pending waits and no later one")
{
    RegistryFixture fixture;
    fixture.create("m");
    const auto client = fixture.open("m");
    std::deque<Waiter> waiters;
    for (int i = 0; i < 50; ++i)
        waiters.push_back(start(fixture, {"m"}));

    REQUIRE(add(client, 1));
    REQUIRE(take(client));
    // This wait starts before the loop reports that "m" was set.
    auto later = start(fixture, {"m"});

    run_until_idle(fixture.loop);
    for (auto& waiter : waiters)
        CHECK(waiter.state() == "m=1");
    CHECK(later.state() == "waits");

    REQUIRE(add(client, 1));
    run_until_idle(fixture.loop);
    CHECK(later.state() == "m=1");
}

TEST_CASE("a Clear takes effect after the earlier sets")
{
    RegistryFixture fixture;
    fixture.create("m");
    const auto client = fixture.open("m");
    auto waiter = start(fixture, {"m"});
    REQUIRE(add(client, 1));
    REQUIRE(fixture.registry.clear(fixture.owner.peer, names({"m"})));
    CHECK(waiter.state() == "m=1");

    auto later = start(fixture, {"m"});
    run_until_idle(fixture.loop); // The clear causes an edge, which must not end the later wait.
    CHECK(later.state() == "waits");
}

TEST_CASE("a wait for missing names continues when they are created")
{
    const auto require = GENERATE(any, all);
    RegistryFixture fixture;
    auto waiter = start(fixture, {"later"}, require);
    CHECK(waiter.state() == "waits");

    SECTION("set from the start")
    {
        fixture.create("later", Mode::automatic, 1);
        CHECK_FALSE(fixture.event("later").is_set());
    }
    SECTION("set later on the descriptor")
    {
        fixture.create("later", Mode::automatic);
        CHECK(waiter.state() == "waits");
        REQUIRE(add(fixture.open("later"), 1));
        run_until_idle(fixture.loop);
    }
    CHECK(waiter.state() == "later=1");
}

TEST_CASE("a wait for existing names only is refused for a missing one")
{
    RegistryFixture fixture;
    fixture.create("there", Mode::automatic, 1);
    auto waiter = start(fixture, {.items = wait_items({"there", "missing"}, 1, true)});
    CHECK(waiter.state() == "NoSuchName");
    CHECK(fixture.event("there").is_set());
}

TEST_CASE("a deletion ends every wait for the name, also one for any")
{
    const auto require = GENERATE(any, all);
    RegistryFixture fixture;
    fixture.create("a");
    fixture.create("b");
    auto waiter = start(fixture, {"a", "b"}, require);
    REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"a"})));
    CHECK(waiter.state() == "Deleted");
    CHECK(*waiter.wakeups == 1);
    CHECK(fixture.waits.waiter_count("b"_name) == 0);
    CHECK_FALSE(is_needed(*fixture.registry.objects.find("b"_name)));
}

TEST_CASE("a set on the descriptor just before the deletion still releases")
{
    RegistryFixture fixture;
    fixture.create("m");
    auto waiter = start(fixture, {"m"});
    REQUIRE(add(fixture.open("m"), 1));
    REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"m"})));
    CHECK(waiter.state() == "m=1");
}

TEST_CASE("a waiter without permission is refused, at the start or at the creation")
{
    RegistryFixture fixture;
    auto early = start(fixture, {.items = wait_items({"e"})}, bob);
    CHECK(early.state() == "waits");
    fixture.create("e", Mode::automatic, 1, "0622"_permissions);

    CHECK(early.state() == "NotPermitted");
    CHECK(start(fixture, {.items = wait_items({"e"})}, bob).state() == "NotPermitted");
    CHECK(fixture.event("e").is_set());
    CHECK(fixture.waits.waiter_count("e"_name) == 0);
}

TEST_CASE("a wait with timeout zero checks once and consumes what is set")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::semaphore, 1);
    const protocol::Wait request{.items = wait_items({"e"}), .timeout = 0ns};
    CHECK(start(fixture, request).state() == "e=1");
    CHECK(start(fixture, request).state() == "TimedOut");
    CHECK(fixture.waits.waiter_count("e"_name) == 0);
}

TEST_CASE("a wait that times out consumes nothing afterwards")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    auto waiter = start(fixture, {.items = wait_items({"e", "missing"}), .timeout = 1ms});
    while (waiter.state() == "waits")
        REQUIRE(fixture.loop.run_once(20s));
    CHECK(waiter.state() == "TimedOut");
    CHECK(*waiter.wakeups == 1);

    set(fixture, "e");
    CHECK(fixture.event("e").is_set());
}

TEST_CASE("a completed wait does not time out afterwards")
{
    RegistryFixture fixture;
    fixture.create("e");
    auto waiter = start(fixture, {.items = wait_items({"e"}), .timeout = 1ms});
    set(fixture, "e");
    auto other = start(fixture, {.items = wait_items({"never"}), .timeout = 2ms});
    while (other.state() == "waits")
        REQUIRE(fixture.loop.run_once(20s));
    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakeups == 1);
}

TEST_CASE("a set before the timeout counts, however busy the loop is")
{
    RegistryFixture fixture;
    const auto always_ready = *make_eventfd(1, Counter::plain);
    std::deque<UniqueFd> fds;
    std::deque<EventLoop::Watch> watches;
    // Adds descriptors that are always ready, as many as one iteration of the loop can handle.
    for (std::size_t i = 0; i < EventLoop::batch; ++i)
        watches.push_back(
            *fixture.loop.watch(fds.emplace_back(*duplicate(always_ready)), EPOLLIN, [](auto) {}));
    fixture.create("e");
    auto waiter = start(fixture, {.items = wait_items({"e"}), .timeout = 1ns});
    REQUIRE(add(fixture.open("e"), 1));

    while (waiter.state() == "waits")
        REQUIRE(fixture.loop.run_once(20s));
    CHECK(waiter.state() == "e=1");
}

TEST_CASE("a wait counts pulses since it began and none before")
{
    RegistryFixture fixture;
    fixture.create("p", Mode::pulse);
    fixture.create("a", Mode::automatic);
    set(fixture, "p", 7);
    auto one = start(fixture, {"p"}, any);
    auto both = start(fixture, {"a", "p"});
    CHECK(one.state() == "waits");

    set(fixture, "p", 2);
    CHECK(one.state() == "p=2");
    set(fixture, "p", 3);
    CHECK(both.state() == "waits");
    set(fixture, "a");
    CHECK(both.state() == "a=1 p=5");
}

TEST_CASE("a cancelled wait leaves no trace")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    {
        auto waiter = start(fixture, {.items = wait_items({"e", "missing"}), .timeout = 1h});
        CHECK(fixture.waits.waiter_count("e"_name) == 1);
        CHECK(fixture.waits.waiter_count("missing"_name) == 1);
        CHECK(fixture.quota.used(alice, Resource::waits) == 1);
    }
    CHECK(fixture.waits.waiter_count("e"_name) == 0);
    CHECK(fixture.waits.waiter_count("missing"_name) == 0);
    CHECK(fixture.quota.used(alice, Resource::waits) == 0);
    CHECK_FALSE(is_needed(*fixture.registry.objects.find("e"_name)));
    set(fixture, "e");
    run_until_idle(fixture.loop);
    CHECK(fixture.event("e").is_set());
}

TEST_CASE("a wait that the policy forbids is refused at once, also for a missing name")
{
    RegistryFixture fixture;
    fixture.create("db/e", Mode::manual, 1);
    fixture.registry.authorization.set_policy(make_policy("db/ alice -w"));
    CHECK(start(fixture, {"db/e"}).state() == "NotPermitted");
    CHECK(start(fixture, {"db/later"}).state() == "NotPermitted");
    CHECK(start(fixture, {"later", "db/later"}, any).state() == "NotPermitted");
    CHECK(start(fixture, {.items = wait_items({"db/e"})}, bob).state() == "db/e=1");
    CHECK(start(fixture, {.items = wait_items({"db/later"})}, 0).state() == "waits");
    CHECK(start(fixture, {.items = wait_items({"user/2002/x"})}).state() == "NotPermitted");
    CHECK(start(fixture, {.items = wait_items({"user/2001/x"})}).state() == "waits");
    // The refused waits have left their queues.
    CHECK(fixture.waits.waiter_count("db/later"_name) == 0);
}

TEST_CASE("an earlier wait is served first if a client set its eventfd before a number was set")
{
    RegistryFixture fixture;
    fixture.create("opened", Mode::semaphore);
    fixture.create("number", Mode::semaphore);
    const auto client = fixture.open("opened");
    auto first = start(fixture, {"opened", "number"}, all);
    auto second = start(fixture, {"number"});
    REQUIRE(add(client, 1));

    set(fixture, "number");

    CHECK(first.state() == "opened=1 number=1");
    CHECK(second.state() == "waits");
}

TEST_CASE("a new policy ends the waits that it forbids at once, and no other")
{
    RegistryFixture fixture;
    fixture.create("db/e", Mode::automatic);
    auto by_alice = start(fixture, {"db/e"});
    auto counted_wait = start(fixture, {"e", "db/later"}, any);
    auto for_other = start(fixture, {"e"});
    auto by_bob = start(fixture, {.items = wait_items({"db/e"})}, bob);

    fixture.change_policy(make_policy("db/ alice -w"));

    CHECK(by_alice.state() == "NotPermitted");
    CHECK(*by_alice.wakeups == 1);
    CHECK(counted_wait.state() == "NotPermitted");
    CHECK(*counted_wait.wakeups == 1);
    CHECK(for_other.state() == "waits");
    CHECK(by_bob.state() == "waits");
    CHECK(fixture.waits.waiter_count("db/e"_name) == 1);
    CHECK(fixture.waits.waiter_count("db/later"_name) == 0);
    CHECK(is_needed(*fixture.registry.objects.find("db/e"_name)));
    set(fixture, "db/e");
    CHECK(by_bob.state() == "db/e=1");
}

TEST_CASE("a set before a change of policy still ends the wait for it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    RegistryFixture fixture;
    fixture.create("e", mode);
    const auto client = fixture.open("e");
    auto waiter = start(fixture, {"e"});
    REQUIRE(add(client, 1)); // The edge is not delivered yet.

    fixture.change_policy(make_policy("default deny"));

    CHECK(waiter.state() == "e=1");
    CHECK(*waiter.wakeups == 1);
}

TEST_CASE("new permissions end the waits that they forbid at once, and no other")
{
    RegistryFixture fixture;
    fixture.create("e");
    fixture.create("a", Mode::automatic);
    auto by_bob = start(fixture, {.items = wait_items({"e"})}, bob);
    auto to_consume = start(fixture, {.items = wait_items({"a"})}, bob);
    auto by_owner = start(fixture, {"e", "a"}, any);
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "a"_name, "0644"_permissions));
    CHECK(to_consume.state() == "NotPermitted");
    CHECK(*to_consume.wakeups == 1);
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "e"_name, "0644"_permissions));
    CHECK(by_bob.state() == "waits");
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "e"_name, "0600"_permissions));
    CHECK(by_bob.state() == "NotPermitted");
    CHECK(by_owner.state() == "waits");
}

TEST_CASE("a set before a change of permissions still ends the wait for it")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic);
    RegistryFixture fixture;
    fixture.create("e", mode);
    const auto client = fixture.open("e");
    auto waiter = start(fixture, {.items = wait_items({"e"})}, bob);
    REQUIRE(add(client, 1)); // The edge is not delivered yet.
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "e"_name, "0600"_permissions));
    CHECK(waiter.state() == "e=1");
}

TEST_CASE(
    "a consuming wait requires the permissions to wait and to set, of the object and of the policy")
{
    struct Case {
        Mode mode;
        std::string permissions;
        std::string rules;
        std::string state;
    };
    const auto [mode, permissions, rules, state] = GENERATE(values<Case>({
        {Mode::automatic, "0666", "", "e=1"},
        {Mode::automatic, "0664", "", "NotPermitted"},
        {Mode::automatic, "0662", "", "NotPermitted"},
        {Mode::semaphore, "0666", "", "e=1"},
        {Mode::semaphore, "0664", "", "NotPermitted"},
        {Mode::semaphore, "0662", "", "NotPermitted"},
        {Mode::automatic, "0666", "e bob -s", "NotPermitted"},
        {Mode::semaphore, "0666", "default deny; e bob +w", "NotPermitted"},
        {Mode::semaphore, "0666", "default deny; e bob +ws", "e=1"},
        {Mode::manual, "0664", "", "e=1"},
        {Mode::manual, "0666", "default deny; e bob +w", "e=1"},
    }));
    CAPTURE(mode, permissions, rules);
    RegistryFixture fixture;
    fixture.create("e", mode, 1, *Permissions::parse(permissions));
    fixture.registry.authorization.set_policy(make_policy(rules));

    CHECK(start(fixture, {.items = wait_items({"e"}), .timeout = 0ns}, bob).state() == state);
    CHECK(fixture.event("e").is_set() == (state == "NotPermitted" || mode == Mode::manual));
}

TEST_CASE("a pending wait that may not consume is refused when its name is created")
{
    RegistryFixture fixture;
    auto waiter = start(fixture, {.items = wait_items({"later"})}, bob);
    fixture.create("later", GENERATE(Mode::automatic, Mode::semaphore), 1, "0664"_permissions);
    CHECK(waiter.state() == "NotPermitted");
    CHECK(fixture.event("later").is_set());
}

TEST_CASE("a policy that forbids setting ends the consuming waits, and no other")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("m");
    auto to_consume = start(fixture, {.items = wait_items({"a"})}, bob);
    auto permission_to_wait = start(fixture, {.items = wait_items({"m"})}, bob);
    auto later_wait = start(fixture, {.items = wait_items({"later"})}, bob);
    fixture.change_policy(make_policy("\"\" bob -s"));
    CHECK(to_consume.state() == "NotPermitted");
    CHECK(permission_to_wait.state() == "waits");
    CHECK(later_wait.state() == "waits");
}

TEST_CASE("a token that arrives as a monitor starts still serves the wait")
{
    RegistryFixture fixture;
    fixture.create("e", Mode::automatic);
    const auto client = fixture.open("e");
    auto waiter = start(fixture, {"e"});
    REQUIRE(add(client, 1));
    const auto monitor =
        fixture.monitors.start(make_peer(alice), *fixture.quota.charge(alice, Resource::monitors),
                               Pattern{}, MonitorScope::changes, [] {});
    for (auto event = monitor->next(); event && event->change != Change::ready;)
        event = monitor->next();
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == "e=1");
}

TEST_CASE("an event that is opened while others wait for it wakes them as before")
{
    const auto require = GENERATE(Require::any, Require::all);
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    fixture.create("b", Mode::semaphore);
    auto waiter = start(fixture, {"a", "b"}, require);
    // A client now has a descriptor of "a", so the daemon watches "a" with epoll. No client has a
    // descriptor of "b", so the daemon reports its own writes to "b" without epoll.
    const auto a = fixture.open("a");
    REQUIRE(add(a, 1));
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == (require == Require::any ? "a=1" : "waits"));
    if (require == Require::any)
        return;
    set(fixture, "b");
    CHECK(waiter.state() == "a=1 b=1");
}

TEST_CASE("a wait that starts as the last earlier one ends is not forgotten")
{
    RegistryFixture fixture;
    for (const auto* name : {"a", "b", "c"})
        fixture.create(name, Mode::automatic);
    const auto earlier = start(fixture, {"a"});
    const auto a = fixture.open("a");
    // When this wait for "b" completes, its callback sets "a" with a write to the client's
    // descriptor. The earlier wait needs "a".
    const auto other =
        fixture.start(make_peer(alice), *fixture.quota.charge(alice, Resource::waits),
                      {.items = wait_items({"b"})}, [&] { REQUIRE(add(a, 1)); });
    REQUIRE(add(fixture.open("b"), 1));

    auto waiter = start(fixture, {"a", "c"});
    run_until_idle(fixture.loop);
    CHECK(*earlier.wakeups == 1);
    REQUIRE(add(fixture.open("c"), 1));
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == "waits");
    REQUIRE(add(a, 1));
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == "a=1 c=1");
}

} // namespace
} // namespace evfd::daemon
