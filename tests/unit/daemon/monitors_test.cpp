#include "daemon/waiting/monitors.h"

#include "tests/support/policy_fixture.h"
#include "tests/support/service_fixture.h"
#include "tests/support/timer_fixture.h"

#include <algorithm>
#include <vector>

namespace evfd::daemon {
namespace {

struct TestMonitor {
    std::shared_ptr<int> wakeups;
    std::unique_ptr<Monitor> monitor;
    Delivery* delivery;
    std::int64_t last = 0;

    // Takes at most `at_most` of the pending events and returns them as text, such as "present a;
    // ready".
    std::string take_events(std::size_t at_most = 100'000)
    {
        std::string text;
        std::size_t steps_without_event = 0;
        for (std::size_t i = 0; i < at_most; ++i) {
            monitor->prepare();
            delivery->apply();
            const auto event = monitor->next();
            if (!event && monitor->has_more()) {
                REQUIRE(++steps_without_event < 100'000);
                continue;
            }
            if (!event)
                break;
            CHECK(event->sequence == ++last);
            text += (text.empty() ? "" : "; ") + std::string{to_string(event->change)};
            if (event->name)
                text += " " + std::string{event->name->text()};
        }
        return text;
    }
};

TestMonitor start_monitor(RegistryFixture& fixture, Pattern pattern = {}, uid_t uid = alice,
                          MonitorScope scope = MonitorScope::changes)
{
    auto wakeups = std::make_shared<int>(0);
    auto started =
        fixture.monitors.start(make_peer(uid), *fixture.quota.charge(uid, Resource::monitors),
                               std::move(pattern), scope, [wakeups] { ++*wakeups; });
    return {wakeups, std::move(started), &fixture.delivery};
}

std::unique_ptr<Wait> begin_wait(RegistryFixture& fixture,
                                 std::initializer_list<std::string_view> list)
{
    auto wait = fixture.start(make_peer(bob), *fixture.quota.charge(bob, Resource::waits),
                              {.items = wait_items(list)}, [] {});
    REQUIRE(wait);
    return *std::move(wait);
}

void delete_object(RegistryFixture& fixture, std::string_view name)
{
    REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({name})));
}

std::size_t occurrences(std::string_view text, std::string_view of)
{
    std::size_t n = 0;
    for (auto at = text.find(of); at != std::string_view::npos; at = text.find(of, at + 1))
        ++n;
    return n;
}

void change_policy(RegistryFixture& fixture, std::string_view rules)
{
    fixture.change_policy(make_policy(rules));
}

TEST_CASE("a monitor reports the state first, then that it is ready, then every change")
{
    RegistryFixture fixture;
    fixture.create("b");
    fixture.create("a", Mode::pulse);
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events() == "present a; present b; ready");
    CHECK(monitor.take_events().empty());

    const auto client = fixture.open("b");
    REQUIRE(add(client, 1));
    run_until_idle(fixture.loop);
    CHECK(*monitor.wakeups == 1);
    CHECK(monitor.take_events() == "changed b");
    REQUIRE(take(client)); // Clears the event through the client's descriptor.
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events() == "changed b");
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"a"}, 1)));
    CHECK(monitor.take_events() == "changed a");
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "b"_name, "0600"_permissions));
    CHECK(monitor.take_events() == "changed b");
    fixture.create("c");
    CHECK(monitor.take_events() == "created c");
    delete_object(fixture, "a");
    CHECK(monitor.take_events() == "deleted a");
}

TEST_CASE("a monitor without objects is ready at once")
{
    RegistryFixture fixture;
    CHECK(start_monitor(fixture).take_events() == "ready");
}

TEST_CASE("a monitor reports only names that match its pattern")
{
    RegistryFixture fixture;
    fixture.create("db/a");
    fixture.create("web");
    auto monitor = start_monitor(fixture, "db/*"_pattern);
    CHECK(monitor.take_events() == "present db/a; ready");
    fixture.create("db/b");
    fixture.create("web2");
    delete_object(fixture, "web");
    CHECK(monitor.take_events() == "created db/b");
    CHECK_FALSE(fixture.registry.objects.find("web2"_name)->is_monitored);
    CHECK(fixture.registry.objects.find("db/b"_name)->is_monitored);
}

TEST_CASE("a monitor reports the names at the edges of its pattern's range")
{
    RegistryFixture fixture;
    for (const auto* name : {"da", "db", "db/a", "db/zz", "dba", "dc"})
        fixture.create(name, Mode::pulse);
    const auto [pattern, events] = GENERATE(table<std::string, std::string>({
        {"db", "present db; ready"},
        {"db**", "present db; present db/a; present db/zz; present dba; ready"},
        {"db/z*", "present db/zz; ready"},
        {"dc*", "present dc; ready"},
        {"dd*", "ready"},
        {"d?", "present da; present db; present dc; ready"},
    }));
    auto monitor = start_monitor(fixture, *Pattern::parse(pattern));

    CHECK(monitor.take_events() == events);
    fixture.create("dbb", Mode::pulse);
    CHECK(monitor.take_events() == (pattern == "db**" ? "created dbb" : ""));
}

TEST_CASE("the watches of several monitors end, whichever monitor ends first")
{
    RegistryFixture fixture;
    const auto all = {"a/x"_name, "b/x"_name, "c/x"_name, "c/y"_name};
    for (const auto& name : all)
        fixture.create(name.text());
    std::vector<TestMonitor> monitors;
    for (const auto* pattern : {"a/*", "b/*", "c/x", "c/*"}) {
        monitors.push_back(start_monitor(fixture, *Pattern::parse(pattern)));
        monitors.back().take_events();
    }
    const auto is_name_watched = [&](const Name& name) {
        return fixture.registry.objects.find(name)->is_monitored;
    };
    CHECK(std::ranges::all_of(all, is_name_watched));

    monitors.erase(monitors.begin(), monitors.begin() + 3);
    run_until_idle(fixture.loop);
    CHECK_FALSE(is_name_watched("a/x"_name));
    CHECK_FALSE(is_name_watched("b/x"_name));
    CHECK(is_name_watched("c/x"_name));
    CHECK(is_name_watched("c/y"_name));

    monitors.clear();
    run_until_idle(fixture.loop);
    CHECK(std::ranges::none_of(all, is_name_watched));
}

TEST_CASE("a change during the initial state is reported once, as state or after it")
{
    RegistryFixture fixture;
    for (const auto* name : {"b", "d", "f"})
        fixture.create(name);
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events(1) == "present b");

    fixture.create("a"); // The monitor's listing has already passed this name.
    fixture.create("e"); // The monitor's listing has not reached this name yet.
    delete_object(fixture, "b");
    delete_object(fixture, "d");
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"f"}, 1)));

    CHECK(monitor.take_events() == "present e; present f; ready; created a; deleted b");
}

TEST_CASE("several changes of an object are reported as one to a slow reader")
{
    struct Case {
        // Each letter is a change: c for create, s for set, r for permissions, d for delete.
        std::string what;
        bool existed_before;
        std::string events;
    };
    const auto c = GENERATE(values<Case>({
        {"sss", true, "changed x"},
        {"sr", true, "changed x"},
        {"sd", true, "deleted x"},
        {"d", true, "deleted x"},
        {"dc", true, "deleted x; created x"},
        {"dcs", true, "deleted x; created x"},
        {"dcd", true, "deleted x"},
        {"dcdc", true, "deleted x; created x"},
        {"c", false, "created x"},
        {"csr", false, "created x"},
        {"cd", false, ""},
        {"cdc", false, "created x"},
        {"cdcd", false, ""},
    }));
    INFO(c.what);
    RegistryFixture fixture;
    if (c.existed_before)
        fixture.create("x");
    auto monitor = start_monitor(fixture);
    monitor.take_events();

    for (const char step : c.what) {
        if (step == 'c')
            fixture.create("x");
        if (step == 's')
            REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"x"}, 1)));
        if (step == 'r')
            REQUIRE(
                fixture.registry.set_permissions(fixture.owner.peer, "x"_name, "0600"_permissions));
        if (step == 'd')
            delete_object(fixture, "x");
    }

    CHECK(monitor.take_events() == c.events);
}

TEST_CASE("an object that is deleted again before its creation was reported is not reported")
{
    RegistryFixture fixture;
    fixture.create("x");
    auto monitor = start_monitor(fixture);
    monitor.take_events();
    delete_object(fixture, "x");
    fixture.create("x");
    CHECK(monitor.take_events(1) == "deleted x");
    delete_object(fixture, "x");
    CHECK(monitor.take_events().empty());
}

TEST_CASE(
    "as many pending changes as the limit are reported one by one, and one more causes a resync")
{
    const auto too_many = GENERATE(false, true);
    RegistryFixture fixture;
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events() == "ready");
    const auto objects = max_dirty_names + (too_many ? 1 : 0);
    for (std::size_t i = 0; i < objects; ++i)
        fixture.create("n/" + std::to_string(i), Mode::pulse);
    CHECK(*monitor.wakeups > 0);

    const auto events = monitor.take_events();

    CHECK(occurrences(events, "created n/") == (too_many ? 0 : objects));
    CHECK(occurrences(events, "present n/") == (too_many ? objects : 0));
    CHECK(events.starts_with(too_many ? "resync; present n/0; " : "created n/0; "));
    CHECK(events.ends_with("; ready") == too_many);

    fixture.create("later");
    CHECK(monitor.take_events() == "created later");
}

TEST_CASE("a resync during the initial state starts it again")
{
    RegistryFixture fixture;
    for (std::size_t i = 0; i <= max_dirty_names; ++i)
        fixture.create("n/" + std::to_string(i), Mode::pulse);
    fixture.create("z");
    auto monitor = start_monitor(fixture);
    CHECK(occurrences(monitor.take_events(max_dirty_names + 1), "present") == max_dirty_names + 1);
    for (std::size_t i = 0; i <= max_dirty_names; ++i)
        delete_object(fixture, "n/" + std::to_string(i));
    CHECK(monitor.take_events() == "resync; present z; ready");
}

TEST_CASE("a listing ends although more objects change meanwhile than a monitor can note")
{
    RegistryFixture fixture;
    constexpr std::size_t objects = 4 * max_dirty_names;
    const auto name = [](std::size_t i) { return *Name::parse("n/" + std::to_string(10'000 + i)); };
    for (std::size_t i = 0; i < objects; ++i)
        fixture.create(name(i).text(), Mode::pulse);
    auto monitor = start_monitor(fixture);
    std::string events;
    for (std::size_t i = 0; i < objects; ++i) {
        // One listed object changes for each report.
        events += monitor.take_events(1) + "; ";
        REQUIRE(fixture.registry.set_permissions(
            fixture.owner.peer, name(i / 2), i % 4 < 2 ? "0600"_permissions : "0644"_permissions));
    }

    events += monitor.take_events();

    CHECK(occurrences(events, "resync") == 0);
    CHECK(occurrences(events, "present") == objects);
    CHECK(events.find("changed") < events.find("ready"));
}

TEST_CASE("an object without access is hidden from a monitor")
{
    RegistryFixture fixture;
    fixture.create("hidden", Mode::manual, 0, "0660"_permissions);
    auto monitor = start_monitor(fixture, {}, bob, MonitorScope::with_waiters);
    CHECK(monitor.take_events() == "ready");
    fixture.create("secret", Mode::manual, 0, "0600"_permissions);
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"secret"}, 1)));
    fixture.monitors.on_waiters_changed("secret"_name);
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events().empty());
    CHECK(*monitor.wakeups == 0);

    const auto shown = GENERATE("0604"_permissions, "0602"_permissions);
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, shown));
    CHECK(monitor.take_events() == "created secret");
    REQUIRE(
        fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, "0600"_permissions));
    CHECK(monitor.take_events() == "deleted secret");
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, shown));
    REQUIRE(
        fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, "0600"_permissions));
    CHECK(monitor.take_events().empty());
    delete_object(fixture, "secret");
    delete_object(fixture, "hidden");
    CHECK(monitor.take_events().empty());
}

TEST_CASE("a new policy hides objects from a monitor and reveals them again")
{
    RegistryFixture fixture;
    fixture.create("db/e");
    auto outsider = start_monitor(fixture, {}, bob);
    CHECK(outsider.take_events() == "present db/e; ready");
    change_policy(fixture, "db/ bob -ws");
    CHECK(outsider.take_events() == "deleted db/e");
    change_policy(fixture, "db/ bob -w");
    CHECK(outsider.take_events() == "created db/e");
}

TEST_CASE("a monitor reports set state to users that may wait, and existence to users that may set")
{
    RegistryFixture fixture;
    fixture.create("secret", Mode::manual, 0, "0602"_permissions);
    auto monitor = start_monitor(fixture, {}, bob);
    CHECK(monitor.take_events() == "present secret; ready");
    CHECK_FALSE(fixture.registry.objects.find("secret"_name)->is_monitored);

    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"secret"}, 1)));
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events().empty());

    REQUIRE(
        fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, "0644"_permissions));
    CHECK(monitor.take_events() == "changed secret");
    REQUIRE(add(fixture.open("secret"), 1));
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events() == "changed secret");

    REQUIRE(
        fixture.registry.set_permissions(fixture.owner.peer, "secret"_name, "0602"_permissions));
    CHECK(monitor.take_events() == "changed secret");
    CHECK_FALSE(fixture.registry.objects.find("secret"_name)->is_monitored);
    delete_object(fixture, "secret");
    CHECK(monitor.take_events() == "deleted secret");
}

TEST_CASE(
    "several monitors each report everything, and the watch lasts until the last of them ends")
{
    RegistryFixture fixture;
    fixture.create("a");
    auto one = start_monitor(fixture);
    auto two = start_monitor(fixture, "a"_pattern);
    one.take_events();
    two.take_events();
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"a"}, 1)));
    CHECK(one.take_events() == "changed a");
    CHECK(two.take_events() == "changed a");

    one.monitor.reset();
    CHECK(fixture.registry.objects.find("a"_name)->is_monitored);
    REQUIRE(add(fixture.open("a"), 1));
    run_until_idle(fixture.loop);
    CHECK(two.take_events() == "changed a");
    two.monitor.reset();
    run_until_idle(fixture.loop);
    CHECK_FALSE(fixture.registry.objects.find("a"_name)->is_monitored);
    CHECK(fixture.quota.used(alice, Resource::monitors) == 0);
}

TEST_CASE("a monitor reports that a timer is armed, expires, is disarmed and is deleted")
{
    RegistryFixture fixture;
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events() == "ready");
    const auto arm = [&](const protocol::Arm& request) {
        REQUIRE(fixture.registry.arm(fixture.owner, request));
    };
    const auto next = [&] {
        std::string events;
        REQUIRE(run_until(fixture.loop, [&] { return !(events = monitor.take_events()).empty(); }));
        return events;
    };
    arm({.name = "t"_name, .after = 1h});
    CHECK(monitor.take_events() == "created t");
    arm({.name = "t"_name, .after = 1ns});
    // The monitor reports that the timer was armed again.
    CHECK(monitor.take_events() == "changed t");
    CHECK(next() == "changed t"); // The monitor reports that the timer expired.
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events().empty());
    arm({.name = "t"_name, .interval = 2ms});
    CHECK(monitor.take_events() == "changed t");
    for (int i = 0; i < 3; ++i)
        CHECK(next() == "changed t");
    REQUIRE(fixture.registry.disarm(fixture.owner.peer, names({"t"})));
    CHECK(monitor.take_events() == "changed t");
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events().empty());
    delete_object(fixture, "t");
    CHECK(monitor.take_events() == "deleted t");
}

TEST_CASE("a new timer with a past expiration is reported as created, then as changed")
{
    RegistryFixture fixture;
    const bool is_waited_for = GENERATE(false, true);
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events() == "ready");
    std::unique_ptr<Wait> wait;
    if (is_waited_for)
        wait = *fixture.start(make_peer(alice), *fixture.quota.charge(alice, Resource::waits),
                              {.items = wait_items({"t"})}, [] {});
    REQUIRE(fixture.registry.arm(fixture.owner,
                                 {.name = "t"_name, .clock = Clock::monotonic, .first = 1ns}));
    CHECK(monitor.take_events() == "created t");
    std::string events;
    REQUIRE(run_until(fixture.loop, [&] { return !(events = monitor.take_events()).empty(); }));
    CHECK(events == "changed t");
}

TEST_CASE("a timer is counted for a monitor while the monitor exists and has access")
{
    RegistryFixture fixture;
    REQUIRE(fixture.registry.arm(
        fixture.owner, {.name = "t"_name, .after = 1h, .permissions = "0602"_permissions}));
    const auto is_counted = [&] { return is_watched(*fixture.registry.objects.find("t"_name)); };
    CHECK_FALSE(is_counted());
    auto outsider = start_monitor(fixture, {}, bob);
    CHECK(outsider.take_events() == "present t; ready");
    CHECK_FALSE(is_counted());
    {
        auto monitor = start_monitor(fixture);
        CHECK(monitor.take_events() == "present t; ready");
        CHECK(is_counted());
        CHECK(fixture.registry.objects.find("t"_name)->timer()->deadline);
    }
    run_until_idle(fixture.loop);
    CHECK_FALSE(is_counted());
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "t"_name, "0644"_permissions));
    CHECK(is_counted());
    REQUIRE(fixture.registry.set_permissions(fixture.owner.peer, "t"_name, "0602"_permissions));
    CHECK_FALSE(is_counted());
    outsider.take_events();
    REQUIRE(fixture.registry.disarm(fixture.owner.peer, names({"t"})));
    CHECK(outsider.take_events().empty());
}

TEST_CASE("an object is watched for a monitor once it was reported")
{
    RegistryFixture fixture;
    for (const auto* name : {"a", "b", "c"})
        fixture.create(name);
    const auto is_name_watched = [&](const Name& name) {
        return fixture.registry.objects.find(name)->is_monitored;
    };
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events(1) == "present a");
    CHECK(is_name_watched("a"_name));
    CHECK_FALSE(is_name_watched("b"_name));

    REQUIRE(add(fixture.open("a"), 1)); // The monitor's listing has already passed this name.
    REQUIRE(add(fixture.open("c"), 1)); // The monitor's listing has not reached this name yet.
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events() == "present b; present c; ready; changed a");
    REQUIRE(add(fixture.open("c"), 1));
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events() == "changed c");
}

TEST_CASE("a monitor with waiters reports when others begin and end a wait or a subscription")
{
    RegistryFixture fixture;
    fixture.create("e");
    fixture.create("p", Mode::pulse);
    auto monitor = start_monitor(fixture, {}, alice, MonitorScope::with_waiters);
    auto other = start_monitor(fixture);
    auto pattern_monitor = start_monitor(fixture, "p"_pattern, alice, MonitorScope::with_waiters);
    for (auto* one : {&monitor, &other, &pattern_monitor})
        one->take_events();
    const auto events = [&] {
        // A monitor reports a new number of waiters in the next iteration at the earliest, because
        // the number can change again until then.
        CHECK(monitor.take_events().empty());
        run_until_idle(fixture.loop);
        CHECK(other.take_events().empty());
        return monitor.take_events();
    };

    auto wait = begin_wait(fixture, {"e", "missing"});
    CHECK(events() == "changed e");
    auto second = begin_wait(fixture, {"e"});
    second.reset();
    CHECK(events() == "changed e");
    wait.reset();
    CHECK(events() == "changed e");
    CHECK(pattern_monitor.take_events().empty());

    Session session{7, make_peer(bob), {}, {}, {}};
    REQUIRE(fixture.registry.open(session, names({"p"})));
    CHECK(events() == "changed p");
    CHECK(pattern_monitor.take_events() == "changed p");
    fixture.registry.end(session);
    CHECK(events() == "changed p");

    wait = begin_wait(fixture, {"e"});
    delete_object(fixture, "e"); // The deletion ends the wait.
    run_until_idle(fixture.loop);
    CHECK(monitor.take_events() == "deleted e");
    monitor.monitor.reset();
    pattern_monitor.monitor.reset();
    run_until_idle(fixture.loop);
    wait = begin_wait(fixture, {"p"});
    // No monitor asks for the number of waiters any more, so the daemon has nothing to report.
    CHECK_FALSE(fixture.loop.has_deferred());
}

TEST_CASE("a wait for very many names is reported in parts, each name in its turn")
{
    RegistryFixture fixture;
    constexpr int objects = 4'000;
    for (int i = 0; i < objects; ++i)
        REQUIRE(fixture.registry.arm(
            fixture.owner, {.name = *Name::parse("t/" + std::to_string(i)), .after = 1h}));
    std::vector<TestMonitor> watchers;
    for (int i = 0; i < 8; ++i) {
        watchers.push_back(
            start_monitor(fixture, "[^s]/*[^t]"_pattern, alice, MonitorScope::with_waiters));
        while (!watchers.back().take_events().ends_with("ready"))
            ;
    }
    for (int i = 0; i < objects; ++i)
        begin_wait(fixture, {"t/" + std::to_string(i)}).reset();
    int iterations = 0;
    for (; fixture.loop.has_deferred(); ++iterations) {
        REQUIRE(iterations < objects);
        run_iterations(fixture.loop, 1);
    }
    CHECK(iterations > 1);
    // The event "resync" replaces the earlier events, which the monitor did not read.
    CHECK(watchers.front().take_events(1) == "resync");
}

TEST_CASE("the watches of ended monitors are released in parts")
{
    RegistryFixture fixture;
    // The objects are timers, because a timer uses no descriptor of the daemon.
    constexpr int timers = 4'000;
    for (int i = 0; i < timers; ++i)
        REQUIRE(fixture.registry.arm(
            fixture.owner, {.name = *Name::parse("t/" + std::to_string(i)), .after = 1h}));
    const auto watched = [&] {
        return std::ranges::count_if(fixture.registry.objects.all(),
                                     [](const auto& entry) { return is_watched(entry.second); });
    };
    auto all = start_monitor(fixture);
    auto some = start_monitor(fixture, "t/1*"_pattern);
    auto later = start_monitor(fixture, "t/2"_pattern);
    for (auto* one : {&all, &some, &later})
        while (!one->take_events().ends_with("ready")) {
        }
    CHECK(watched() == timers);

    all.monitor.reset();
    run_iterations(fixture.loop, 1);
    CHECK(watched() > timers / 2); // The watches are released over several iterations.
    // The daemon still goes through the objects of the first monitor and releases their watches.
    // Now the second monitor ends too. The daemon must also release the watches that it has kept
    // so far only for the second monitor.
    some.monitor.reset();
    run_until_idle(fixture.loop);
    CHECK(watched() == 1);
    later.monitor.reset();
    run_until_idle(fixture.loop);
    CHECK(watched() == 0);
    CHECK_FALSE(fixture.loop.has_deferred());
}

TEST_CASE("a timer of one nanosecond is polled for a monitor at most once a millisecond")
{
    RegistryFixture fixture;
    auto monitor = start_monitor(fixture);
    monitor.take_events();
    REQUIRE(fixture.registry.arm(fixture.owner, {.name = "t"_name, .interval = 1ns}));
    const auto start = now_on(Clock::monotonic);
    for (int i = 0; i < 20; ++i)
        REQUIRE(fixture.loop.run_once(20s));
    // The polls are at least 1 ms apart, so twenty polls take longer than 10 ms.
    CHECK(now_on(Clock::monotonic) >= start + 10ms);
    CHECK(*monitor.wakeups <= 22);
}

TEST_CASE("a monitor reports that a change of the wall clock cancelled a timer")
{
    WallClockLock wall_clock;
    RegistryFixture fixture;
    auto monitor = start_monitor(fixture);
    REQUIRE(fixture.registry.arm(
        fixture.owner,
        {.name = "t"_name, .first = now_on(Clock::realtime) + 1h, .cancel_on_clock_change = true}));
    CHECK(monitor.take_events() == "present t; ready");
    wall_clock.shift(1000ns);
    std::string events;
    REQUIRE(run_until(fixture.loop, [&] { return !(events = monitor.take_events()).empty(); }));
    CHECK(events == "changed t");
}

TEST_CASE("a monitor without permission to wait by policy reports existence but no set or clear")
{
    RegistryFixture fixture;
    change_policy(fixture, "db/ alice -w");
    fixture.create("db/e");
    fixture.create("e");
    auto monitor = start_monitor(fixture);
    CHECK(monitor.take_events() == "present db/e; present e; ready");
    CHECK_FALSE(fixture.registry.objects.find("db/e"_name)->is_monitored);

    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"db/e", "e"}, 1)));
    CHECK(monitor.take_events() == "changed e");
    fixture.create("db/f");
    CHECK(monitor.take_events() == "created db/f");
}

TEST_CASE("a new policy is reported to the monitors that it affects, and watches follow it")
{
    RegistryFixture fixture;
    fixture.create("db/e");
    fixture.create("e");
    fixture.create("secret", Mode::manual, 0, "0600"_permissions);
    auto monitor = start_monitor(fixture);
    auto outsider = start_monitor(fixture, {}, bob);
    const auto is_watched = [&] {
        return fixture.registry.objects.find("db/e"_name)->is_monitored;
    };
    monitor.take_events();
    outsider.take_events();

    change_policy(fixture, "db/ bob -w; secret bob -w");
    CHECK(monitor.take_events().empty());
    // The permissions of "secret" already hid it from the outsider. So the outsider gets no report
    // about "secret" now.
    CHECK(outsider.take_events() == "changed db/e");
    CHECK(is_watched());
    change_policy(fixture, "db/ * -w");
    CHECK(monitor.take_events() == "changed db/e");
    CHECK(outsider.take_events().empty());
    CHECK_FALSE(is_watched());
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"db/e"}, 1)));
    CHECK(monitor.take_events().empty());
    change_policy(fixture, "");
    CHECK(monitor.take_events() == "changed db/e");
    CHECK(outsider.take_events() == "changed db/e");
    CHECK(is_watched());
}

TEST_CASE("a change of the policy makes a monitor of very many objects list them again")
{
    const auto is_large = GENERATE(false, true);
    RegistryFixture fixture;
    fixture.create("db/e");
    fixture.create("e");
    for (std::size_t i = 2; i < max_objects_checked_for_policy + (is_large ? 1 : 0); ++i)
        fixture.create("n/" + std::to_string(i), Mode::pulse);
    auto monitor = start_monitor(fixture, "**e"_pattern);
    const auto& hidden = *fixture.registry.objects.find("db/e"_name);
    CHECK(monitor.take_events() == "present db/e; present e; ready");
    CHECK(hidden.is_monitored);
    const auto wakeups = *monitor.wakeups;

    change_policy(fixture, "db/ * -w");

    CHECK(*monitor.wakeups > wakeups);
    CHECK(monitor.take_events() ==
          (is_large ? "resync; present db/e; present e; ready" : "changed db/e"));
    run_until_idle(fixture.loop);
    CHECK_FALSE(hidden.is_monitored);
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"db/e"}, 1)));
    CHECK(monitor.take_events().empty());
    change_policy(fixture, "");
    CHECK(monitor.take_events() ==
          (is_large ? "resync; present db/e; present e; ready" : "changed db/e"));
    CHECK(hidden.is_monitored);
}

} // namespace
} // namespace evfd::daemon
