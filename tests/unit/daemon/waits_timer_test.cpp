// Tests waits for timers, alone and together with events.
#include "daemon/waiting/waits.h"
#include "tests/support/service_fixture.h"
#include "tests/support/skip.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

using protocol::Arm;
using protocol::Count;

constexpr auto all = Require::all;
constexpr auto any = Require::any;

// A wait that a test began, and the number of its wake-ups.
struct Waiter {
    std::shared_ptr<int> wakeups = std::make_shared<int>(0);
    Outcome<std::unique_ptr<Wait>> started;

    bool is_done() { return !started || (*started)->outcome().has_value(); }
    // Returns "waits" for a pending wait. For a completed wait, returns the names in its result.
    // For a failed wait, returns the name of the error.
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
        for (const auto& fired : (*outcome)->fired)
            text += (text.empty() ? "" : " ") + std::string{fired.name.text()};
        return text;
    }
    std::int64_t count(std::size_t i = 0) { return (**(*started)->outcome()).fired.at(i).count; }
};

Waiter start(RegistryFixture& fixture, const protocol::Wait& request, uid_t uid = alice)
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

Waiter start_for(RegistryFixture& fixture, std::int64_t expirations)
{
    return start(fixture, {.items = wait_items({"t"}, expirations)});
}

void arm(RegistryFixture& fixture, const Arm& request)
{
    REQUIRE(fixture.registry.arm(fixture.owner, request));
}

void set(RegistryFixture& fixture, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({name}, tokens)));
}

Timer& timer(RegistryFixture& fixture, std::string_view name = "t")
{
    return *fixture.registry.objects.find(*Name::parse(name))->timer();
}

std::int64_t expirations_so_far(RegistryFixture& fixture)
{
    const auto& schedule = timer(fixture).spec().schedule;
    return schedule.expirations_by(now_on(schedule.clock));
}

bool completes(RegistryFixture& fixture, Waiter& waiter)
{
    return run_until(fixture.loop, [&] { return waiter.is_done(); });
}

const auto t = *Name::parse("t");

TEST_CASE("a wait for a timer ends with its next expiration, not earlier, and is woken once")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime);
    const auto interval = GENERATE(0ns, 1ms);
    WallClockLock wall_clock;
    RegistryFixture fixture;
    arm(fixture, {.name = t, .clock = clock, .after = 2ms, .interval = interval});
    auto waiter = start(fixture, {"t"});

    REQUIRE(completes(fixture, waiter));

    CHECK(expirations_so_far(fixture) >= 1);
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() >= 1);
    CHECK(waiter.count() <= expirations_so_far(fixture));
    CHECK(*waiter.wakeups <= 1);          // A wait that completes at its start has no wake-up.
    CHECK_FALSE(timer(fixture).deadline); // The timer has no observer any more.
}

TEST_CASE("an earlier expiration does not end a wait, unless the timer has none to come")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .clock = Clock::monotonic, .first = 1ns, .interval = 1h});
    run_until_idle(fixture.loop);
    auto periodic = start(fixture, {"t"});
    run_until_idle(fixture.loop);
    CHECK(periodic.state() == "waits");

    arm(fixture, {.name = "once"_name, .after = 1ns});
    wait_until(Clock::monotonic, timer(fixture, "once").spec().schedule.first);
    CHECK(start(fixture, {"once"}).state() == "once");
    CHECK(start(fixture, {"once"}).state() == "once"); // A wait for a timer consumes nothing.
    CHECK(start(fixture, {.items = wait_items({"once"}), .timeout = 0ns}).state() == "once");
    CHECK(start(fixture, {.items = wait_items({"t"}), .timeout = 0ns}).state() == "TimedOut");
}

TEST_CASE("an expired timer that is counted for others releases a wait at once")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1ns});
    auto first = start(fixture, {.items = wait_items({"t", "missing"})});
    wait_until(Clock::monotonic, timer(fixture).spec().schedule.first);
    CHECK(start(fixture, {"t"}).state() == "t");
    CHECK(first.state() == "waits");
}

TEST_CASE("a wait for several expirations ends with that many since it began")
{
    const auto interval = GENERATE(100us, 1ms, 2ms);
    const auto wanted = GENERATE(1, 2, 7);
    RegistryFixture fixture;
    arm(fixture, {.name = t, .interval = interval});
    wait_until(Clock::monotonic, timer(fixture).spec().schedule.first + interval);
    const auto before = expirations_so_far(fixture);
    auto waiter = start_for(fixture, wanted);

    REQUIRE(completes(fixture, waiter));

    CHECK(waiter.count() >= wanted);
    CHECK(waiter.count() <= expirations_so_far(fixture) - before);
}

TEST_CASE("an expiration before a wait does not release it, although it was counted for others")
{
    const auto interval = GENERATE(1ns, 3us, 100us, 1ms);
    RegistryFixture fixture;
    arm(fixture, {.name = t, .interval = interval});
    auto forever = start_for(fixture, nanoseconds::max().count());
    for (int i = 0; i < 20; ++i) {
        wait_until(Clock::monotonic, now_on(Clock::monotonic) + 300us);
        if (i % 3 == 0)
            REQUIRE(fixture.loop.run_once(0ns));
        const auto before = expirations_so_far(fixture);
        auto waiter = start_for(fixture, 3);
        REQUIRE(completes(fixture, waiter));
        CHECK(waiter.count() <= expirations_so_far(fixture) - before);
    }
    CHECK(forever.state() == "waits");
}

TEST_CASE("a wait that begins before the timer is armed is released by its first expiration")
{
    const auto require = GENERATE(any, all);
    const bool was_past = GENERATE(false, true);
    RegistryFixture fixture;
    auto waiter = start(fixture, {"t"}, require);
    CHECK(waiter.state() == "waits");
    if (was_past)
        arm(fixture, {.name = t, .clock = Clock::monotonic, .first = 1ns});
    else
        arm(fixture, {.name = t, .after = 1ms});
    REQUIRE(completes(fixture, waiter));
    CHECK(expirations_so_far(fixture) == 1);
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() == 1);
}

TEST_CASE("a wait for a disarmed timer stays pending and ends after rearming")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1h});
    auto waiter = start(fixture, {"t"});
    REQUIRE(fixture.registry.disarm(fixture.owner.peer, names({"t"})));
    auto later = start(fixture, {"t"});
    CHECK_FALSE(timer(fixture).deadline);
    run_until_idle(fixture.loop);
    CHECK(waiter.state() == "waits");
    arm(fixture, {.name = t, .after = 1ms});
    REQUIRE(completes(fixture, waiter));
    REQUIRE(completes(fixture, later));
    CHECK(waiter.state() == "t");
    CHECK(later.state() == "t");
}

TEST_CASE("expirations counted by a wait stay counted when the timer is rearmed")
{
    const bool is_disarmed_between = GENERATE(false, true);
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1ns});
    auto waiter = start_for(fixture, 3);
    REQUIRE(run_until(fixture.loop, [&] { return timer(fixture).has_expired(); }));
    for (int i = 0; i < 2; ++i) {
        CHECK(waiter.state() == "waits");
        if (is_disarmed_between)
            REQUIRE(fixture.registry.disarm(fixture.owner.peer, names({"t"})));
        arm(fixture, {.name = t, .after = 1us});
        REQUIRE(run_until(fixture.loop,
                          [&] { return waiter.is_done() || timer(fixture).has_expired(); }));
    }
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() == 3);
}

TEST_CASE("an unreported expiration releases the earlier waits before the timer is rearmed")
{
    const auto action = GENERATE("arm"s, "disarm"s, "delete"s);
    INFO(action);
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1ms});
    auto waiter = start(fixture, {"t"});
    wait_until(Clock::monotonic, timer(fixture).spec().schedule.first);
    if (action == "arm")
        arm(fixture, {.name = t, .after = 1h});
    if (action == "disarm")
        REQUIRE(fixture.registry.disarm(fixture.owner.peer, names({"t"})));
    if (action == "delete")
        REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"t"})));
    CHECK(waiter.state() == "t");
}

TEST_CASE("a wait for any of timers and events ends with the first and consumes nothing else")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    arm(fixture, {.name = t, .after = 1h});
    arm(fixture, {.name = "u"_name, .after = 1ms});
    auto by_event = start(fixture, {"t", "a"}, any);
    auto by_timer = start(fixture, {"t", "u", "a"}, any);
    set(fixture, "a");
    CHECK(by_event.state() == "a");
    REQUIRE(completes(fixture, by_timer));
    CHECK(by_timer.state() == "u");
    set(fixture, "a");
    CHECK(fixture.event("a").is_set());
}

TEST_CASE("an expiration since the wait began suffices for a wait for all")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    arm(fixture, {.name = t, .interval = 1ms});
    auto waiter = start(fixture, {"a", "t"});
    const auto before = expirations_so_far(fixture);
    REQUIRE(run_until(fixture.loop, [&] { return expirations_so_far(fixture) > before + 3; }));
    CHECK(waiter.state() == "waits");
    set(fixture, "a");
    CHECK(waiter.state() == "a t");
    CHECK(waiter.count(0) == 1);
    CHECK(waiter.count(1) >= 1);
}

TEST_CASE("a wait for all keeps no consumed token while its timer is pending")
{
    RegistryFixture fixture;
    fixture.create("s", Mode::semaphore);
    arm(fixture, {.name = t, .after = 5ms});
    auto waiter = start(fixture, {"s", "t"});
    set(fixture, "s");
    if (waiter.state() == "waits")
        CHECK(fixture.event("s").is_set());
    REQUIRE(completes(fixture, waiter));
    CHECK(waiter.state() == "s t");
    CHECK_FALSE(fixture.event("s").is_set());
}

TEST_CASE("a timer that sets an event releases the waits for both, in the order of arrival")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    arm(fixture, {.name = t, .after = 1ms, .sets = "a"_name});
    auto both = start(fixture, {"a", "t"});
    auto of_event = start(fixture, {"a"});
    REQUIRE(completes(fixture, both));
    CHECK(both.state() == "a t");
    CHECK(of_event.state() == "waits");
}

TEST_CASE("a wait for a timer and its event takes no token before an earlier wait for the event")
{
    RegistryFixture fixture;
    fixture.create("a", Mode::automatic);
    arm(fixture, {.name = t, .after = 1ms, .sets = "a"_name});
    auto of_event = start(fixture, {"a"});
    auto both = start(fixture, {"t", "a"});
    REQUIRE(completes(fixture, of_event));
    CHECK(of_event.state() == "a");
    CHECK(both.state() == "waits");
    set(fixture, "a");
    CHECK(completes(fixture, both));
}

TEST_CASE("a wait counts the pulses that a timer sets")
{
    RegistryFixture fixture;
    fixture.create("p", Mode::pulse);
    arm(fixture, {.name = t, .interval = 1ms, .sets = "p"_name});
    auto waiter = start(fixture, {.items = wait_items({"p"}, 5)});
    REQUIRE(completes(fixture, waiter));
    CHECK(waiter.state() == "p");
    CHECK(waiter.count() >= 5);
    CHECK(waiter.count() <= expirations_so_far(fixture));
}

TEST_CASE("each item of a wait has a count of its own")
{
    const auto require = GENERATE(all, any);
    RegistryFixture fixture;
    fixture.create("p", Mode::pulse);
    fixture.create("q", Mode::pulse);
    protocol::Wait request{.items = wait_items({"p", "q"}), .require = require};
    request.items.list[0].count = Count{3};
    request.items.list[1].count = Count{2};
    auto waiter = start(fixture, request);
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"p"}, 2)));
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"q"}, 1)));
    CHECK_FALSE(waiter.is_done());
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"q"}, 1)));
    CHECK(waiter.is_done() == (require == any));
    REQUIRE(fixture.registry.set(fixture.owner.peer, set_items({"p"}, 1)));
    REQUIRE(waiter.is_done());
    const auto& fired = (**(*waiter.started)->outcome()).fired;
    REQUIRE(fired.size() == (require == any ? 1 : 2));
    CHECK(fired.back().index == 1);
    CHECK(fired.back().count == 2);
    CHECK(fired.back().id == id_of(*fixture.registry.objects.find("q"_name)));
    if (require == all)
        CHECK(fired.front().count == 3);
}

TEST_CASE("an item that must exist fails the wait if it is missing, and another waits for it")
{
    RegistryFixture fixture;
    fixture.create("e");
    protocol::Wait request{.items = wait_items({"later", "e"})};
    request.items.list[1].existing = true;
    CHECK(start(fixture, request).state() == "waits");
    request.items.list[0].existing = true;
    CHECK(start(fixture, request).state() == "NoSuchName");
}

TEST_CASE("a count beyond one is accepted only for timers and pulses")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    RegistryFixture fixture;
    fixture.create("e", mode);
    fixture.create("p", Mode::pulse);
    arm(fixture, {.name = t, .after = 1h});
    const auto wait = [&](std::initializer_list<std::string_view> list, std::int64_t count) {
        return start(fixture, {.items = wait_items(list, count)}).state();
    };
    const auto refused = mode == Mode::semaphore ? "InvalidParameter" : "WrongKind";
    // For a semaphore the error is not WrongKind, because a later version could accept a count for
    // a semaphore.
    CHECK(wait({"e"}, 2) == refused);
    CHECK(wait({"t", "e"}, 2) == refused);
    CHECK(wait({"e"}, 1) == "waits");
    CHECK(wait({"t", "p"}, 2) == "waits");
    CHECK(wait({"missing"}, 2) == "waits");
    CHECK(fixture.quota.used(alice, Resource::waits) == 0);
}

TEST_CASE("a deleted timer ends the waits for it")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1h});
    fixture.create("e");
    auto one = start(fixture, {"t"});
    auto other = start(fixture, {"e", "t"}, any);
    REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"t"})));
    CHECK(one.state() == "Deleted");
    CHECK(other.state() == "Deleted");
    CHECK(*one.wakeups == 1);
}

TEST_CASE("a cancelled timer ends the waits for it, and other waits continue")
{
    WallClockLock wall_clock;
    RegistryFixture fixture;
    const auto far = now_on(Clock::realtime) + 1h;
    arm(fixture, {.name = t, .first = far, .cancel_on_clock_change = true});
    arm(fixture, {.name = "u"_name, .first = far});
    auto one = start(fixture, {"t"});
    auto both = start(fixture, {"u", "t"}, any);
    auto other = start(fixture, {"u"});
    run_until_idle(fixture.loop);
    CHECK(one.state() == "waits");
    wall_clock.shift(1000ns);
    REQUIRE(completes(fixture, one));
    run_until_idle(fixture.loop);
    CHECK(one.state() == "Cancelled");
    CHECK(both.state() == "Cancelled");
    CHECK(other.state() == "waits");
    CHECK(*one.wakeups == 1);

    auto later = start(fixture, {"t"}); // This wait ends when the timer is armed again and expires.
    CHECK(later.state() == "waits");
    arm(fixture, {.name = t, .first = now_on(Clock::realtime) + 1ms});
    REQUIRE(completes(fixture, later));
    CHECK(later.state() == "t");
}

TEST_CASE("a waiter without permission for a later timer is refused and learns no expiration")
{
    RegistryFixture fixture;
    auto outsider = start(fixture, {.items = wait_items({"t"})}, bob);
    auto owner = start(fixture, {"t"});
    // The timer expires at once.
    arm(fixture,
        {.name = t, .clock = Clock::monotonic, .first = 1ns, .permissions = "0600"_permissions});
    CHECK(outsider.state() == "NotPermitted");
    REQUIRE(completes(fixture, owner));
    CHECK(owner.state() == "t");
    CHECK(start(fixture, {.items = wait_items({"t"})}, bob).state() == "NotPermitted");
    CHECK(fixture.waits.waiter_count(t) == 0);
}

TEST_CASE("a wait for a timer times out, and the timer is no longer counted")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1h});
    auto waiter = start(fixture, {.items = wait_items({"t"}), .timeout = 1ms});
    CHECK(timer(fixture).deadline);
    REQUIRE(completes(fixture, waiter));
    CHECK(waiter.state() == "TimedOut");
    CHECK_FALSE(timer(fixture).deadline);
}

TEST_CASE("an expiration before the timeout counts, however late the loop runs")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 1ms});
    auto waiter = start(fixture, {.items = wait_items({"t"}), .timeout = 2ms});
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 5ms);
    REQUIRE(completes(fixture, waiter));
    CHECK(waiter.state() == "t");
}

TEST_CASE("all waits that end by one expiration end, whatever else they wait for")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .after = 2ms});
    arm(fixture, {.name = "u"_name, .after = 1h});
    std::deque<Waiter> waiters;
    for (int i = 0; i < 500; ++i)
        waiters.push_back(i % 2 == 0 ? start(fixture, {"t"}) : start(fixture, {"u", "t"}, any));
    REQUIRE(completes(fixture, waiters.back()));
    for (auto& waiter : waiters)
        CHECK(waiter.state() == "t");
    CHECK_FALSE(timer(fixture, "u").deadline);
}

TEST_CASE("a cancelled wait leaves no deadline")
{
    RegistryFixture fixture;
    arm(fixture, {.name = t, .interval = 1ms});
    {
        auto waiter = start_for(fixture, 1'000'000);
        CHECK(timer(fixture).deadline);
        REQUIRE(fixture.loop.run_once(20s));
    }
    CHECK_FALSE(timer(fixture).deadline);
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a counted one-shot timer still releases at once after the clock was set back")
{
    WallClockLock wall_clock;
    const auto deadline = monotonic_deadline(20s);
    // On a busy machine, the test can set the clock back too late. In that case the test tries
    // again.
    while (time_until(deadline) > 0ns) {
        RegistryFixture fixture;
        // This wait makes the daemon count the expirations.
        auto other = start(fixture, {"missing", "t"});
        arm(fixture, {.name = t, .first = now_on(Clock::realtime) + 200us});
        const auto first = timer(fixture).spec().schedule.first;
        wait_until(Clock::realtime, first);
        REQUIRE(run_until(fixture.loop, [&] { return timer(fixture).has_expired(); }));
        wall_clock.shift(-900us);
        auto waiter = start(fixture, {"t"});
        const bool was_in_time = now_on(Clock::realtime) < first;
        wall_clock.restore();
        CHECK(waiter.state() == "t");
        if (was_in_time)
            return;
    }
    skip("the machine is too busy to set the wall clock back in time");
}

} // namespace
} // namespace evfd::daemon
