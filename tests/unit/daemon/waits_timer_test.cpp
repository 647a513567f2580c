// Waiting for timers, alone and with events.
#include "daemon/waiting/waits.h"
#include "tests/support/service_fixture.h"
#include "tests/support/skip.h"
#include "tests/support/timer_fixture.h"

namespace evfd::daemon {
namespace {

using protocol::Arm;
using protocol::Count;

constexpr auto all = Gather::all;
constexpr auto any = Gather::any;

// One who waits.
struct Waiter {
    std::shared_ptr<int> wakes = std::make_shared<int>(0);
    Outcome<std::unique_ptr<Wait>> started;

    bool is_over() { return !started || (*started)->outcome().has_value(); }
    // "waits", what fired, or the error.
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
            text += (text.empty() ? "" : " ") + fired.name.text();
        return text;
    }
    std::int64_t count(std::size_t i = 0) { return (**(*started)->outcome()).fired.at(i).count; }
};

Waiter start(Hall& hall, const protocol::Wait& request, uid_t uid = alice)
{
    auto charge = hall.quota.take(uid, Resource::waits);
    REQUIRE(charge);
    auto wakes = std::make_shared<int>(0);
    return {wakes,
            hall.waits.start(person(uid), *std::move(charge), request, [wakes] { ++*wakes; })};
}

Waiter start(Hall& hall, std::initializer_list<std::string_view> list, Gather gather = all)
{
    return start(hall, {.names = names(list), .gather = gather});
}

Waiter start_for(Hall& hall, std::int64_t expirations)
{
    return start(hall, {.names = names({"t"}), .count = Count{expirations}});
}

void arm(Hall& hall, const Arm& request)
{
    REQUIRE(hall.registry.arm(hall.owner, request));
}

void set(Hall& hall, std::string_view name, std::int64_t tokens = 1)
{
    REQUIRE(hall.registry.set(hall.owner.peer, names({name}), tokens));
}

Timer& timer(Hall& hall, std::string_view name = "t")
{
    return *hall.registry.find(*Name::parse(name))->timer();
}

std::int64_t points(Hall& hall)
{
    const auto& schedule = timer(hall).arming().schedule;
    return schedule.points_by(now_on(schedule.clock));
}

bool comes_to_an_end(Hall& hall, Waiter& waiter)
{
    return turn_until(hall.loop, [&] { return waiter.is_over(); });
}

const auto t = *Name::parse("t");

TEST_CASE("a wait for a timer ends with its next expiry, not before, and is woken once")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime);
    const auto interval = GENERATE(0ns, 1ms);
    WallClock wall_clock;
    Hall hall;
    arm(hall, {.name = t, .clock = clock, .after = 2ms, .interval = interval});
    auto waiter = start(hall, {"t"});

    REQUIRE(comes_to_an_end(hall, waiter));

    CHECK(points(hall) >= 1);
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() >= 1);
    CHECK(waiter.count() <= points(hall));
    CHECK(*waiter.wakes <= 1);            // None if it was over as it began.
    CHECK_FALSE(timer(hall).appointment); // Nobody asks for it any more.
}

TEST_CASE("what a timer did before is not what a wait is for, unless none is to come")
{
    Hall hall;
    arm(hall, {.name = t, .clock = Clock::monotonic, .first = 1ns, .interval = 1h});
    settle(hall.loop);
    auto periodic = start(hall, {"t"});
    settle(hall.loop);
    CHECK(periodic.state() == "waits");

    arm(hall, {.name = "once"_name, .after = 1ns});
    wait_until(Clock::monotonic, timer(hall, "once").arming().schedule.first);
    CHECK(start(hall, {"once"}).state() == "once");
    CHECK(start(hall, {"once"}).state() == "once"); // Nothing is taken.
    CHECK(start(hall, {.names = names({"once"}), .timeout = 0ns}).state() == "once");
    CHECK(start(hall, {.names = names({"t"}), .timeout = 0ns}).state() == "TimedOut");
}

TEST_CASE("an expired timer that is counted for others releases at once as well")
{
    Hall hall;
    arm(hall, {.name = t, .after = 1ns});
    auto first = start(hall, {.names = names({"t", "missing"})});
    wait_until(Clock::monotonic, timer(hall).arming().schedule.first);
    CHECK(start(hall, {"t"}).state() == "t");
    CHECK(first.state() == "waits");
}

TEST_CASE("a wait for several expirations ends when there were as many since it began")
{
    const auto interval = GENERATE(100us, 1ms, 2ms);
    const auto wanted = GENERATE(1, 2, 7);
    Hall hall;
    arm(hall, {.name = t, .interval = interval});
    wait_until(Clock::monotonic, timer(hall).arming().schedule.first + interval);
    const auto before = points(hall);
    auto waiter = start_for(hall, wanted);

    REQUIRE(comes_to_an_end(hall, waiter));

    CHECK(waiter.count() >= wanted);
    CHECK(waiter.count() <= points(hall) - before);
}

TEST_CASE("nobody is released by what expired before the wait, though others had it counted")
{
    const auto interval = GENERATE(1ns, 3us, 100us, 1ms);
    Hall hall;
    arm(hall, {.name = t, .interval = interval});
    auto forever = start_for(hall, nanoseconds::max().count());
    for (int i = 0; i < 20; ++i) {
        wait_until(Clock::monotonic, now_on(Clock::monotonic) + 300us);
        if (i % 3 == 0)
            REQUIRE(hall.loop.run_once(0ns));
        const auto before = points(hall);
        auto waiter = start_for(hall, 3);
        REQUIRE(comes_to_an_end(hall, waiter));
        CHECK(waiter.count() <= points(hall) - before);
    }
    CHECK(forever.state() == "waits");
}

TEST_CASE("who waits before the timer is armed is released by its first expiry")
{
    const auto gather = GENERATE(any, all);
    const bool was_past = GENERATE(false, true);
    Hall hall;
    auto waiter = start(hall, {"t"}, gather);
    CHECK(waiter.state() == "waits");
    if (was_past)
        arm(hall, {.name = t, .clock = Clock::monotonic, .first = 1ns});
    else
        arm(hall, {.name = t, .after = 1ms});
    REQUIRE(comes_to_an_end(hall, waiter));
    CHECK(points(hall) == 1);
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() == 1);
}

TEST_CASE("a wait for a timer that is disarmed goes on, and ends when it was armed again")
{
    Hall hall;
    arm(hall, {.name = t, .after = 1h});
    auto waiter = start(hall, {"t"});
    REQUIRE(hall.registry.disarm(hall.owner.peer, names({"t"})));
    auto later = start(hall, {"t"});
    CHECK_FALSE(timer(hall).appointment);
    settle(hall.loop);
    CHECK(waiter.state() == "waits");
    arm(hall, {.name = t, .after = 1ms});
    REQUIRE(comes_to_an_end(hall, waiter));
    REQUIRE(comes_to_an_end(hall, later));
    CHECK(waiter.state() == "t");
    CHECK(later.state() == "t");
}

TEST_CASE("what a wait has counted stays counted when the timer is armed anew")
{
    const bool is_disarmed_between = GENERATE(false, true);
    Hall hall;
    arm(hall, {.name = t, .after = 1ns});
    auto waiter = start_for(hall, 3);
    REQUIRE(turn_until(hall.loop, [&] { return timer(hall).has_expired(); }));
    for (int i = 0; i < 2; ++i) {
        CHECK(waiter.state() == "waits");
        if (is_disarmed_between)
            REQUIRE(hall.registry.disarm(hall.owner.peer, names({"t"})));
        arm(hall, {.name = t, .after = 1us});
        REQUIRE(
            turn_until(hall.loop, [&] { return waiter.is_over() || timer(hall).has_expired(); }));
    }
    CHECK(waiter.state() == "t");
    CHECK(waiter.count() == 3);
}

TEST_CASE("an expiry that was not told yet releases who waited before the timer is armed anew")
{
    const auto how = GENERATE("arm"s, "disarm"s, "delete"s);
    INFO(how);
    Hall hall;
    arm(hall, {.name = t, .after = 1ms});
    auto waiter = start(hall, {"t"});
    wait_until(Clock::monotonic, timer(hall).arming().schedule.first);
    if (how == "arm")
        arm(hall, {.name = t, .after = 1h});
    if (how == "disarm")
        REQUIRE(hall.registry.disarm(hall.owner.peer, names({"t"})));
    if (how == "delete")
        REQUIRE(hall.registry.remove(hall.owner.peer, names({"t"})));
    CHECK(waiter.state() == "t");
}

TEST_CASE("any of timers and events ends with the first, and takes nothing else")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    arm(hall, {.name = t, .after = 1h});
    arm(hall, {.name = "u"_name, .after = 1ms});
    auto by_event = start(hall, {"t", "a"}, any);
    auto by_timer = start(hall, {"t", "u", "a"}, any);
    set(hall, "a");
    CHECK(by_event.state() == "a");
    REQUIRE(comes_to_an_end(hall, by_timer));
    CHECK(by_timer.state() == "u");
    set(hall, "a");
    CHECK(hall.event("a").is_set());
}

TEST_CASE("for all it is enough that a timer expired since the wait began")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    arm(hall, {.name = t, .interval = 1ms});
    auto waiter = start(hall, {"a", "t"});
    const auto before = points(hall);
    REQUIRE(turn_until(hall.loop, [&] { return points(hall) > before + 3; }));
    CHECK(waiter.state() == "waits");
    set(hall, "a");
    CHECK(waiter.state() == "a t");
    CHECK(waiter.count(0) == 1);
    CHECK(waiter.count(1) >= 1);
}

TEST_CASE("while a timer is to come a wait for all keeps nothing of what takes")
{
    Hall hall;
    hall.create("s", Mode::semaphore);
    arm(hall, {.name = t, .after = 5ms});
    auto waiter = start(hall, {"s", "t"});
    set(hall, "s");
    if (waiter.state() == "waits")
        CHECK(hall.event("s").is_set());
    REQUIRE(comes_to_an_end(hall, waiter));
    CHECK(waiter.state() == "s t");
    CHECK_FALSE(hall.event("s").is_set());
}

TEST_CASE("a timer that sets an event releases who waits for either, in the order of arrival")
{
    Hall hall;
    hall.create("a", Mode::automatic);
    arm(hall, {.name = t, .after = 1ms, .sets = "a"_name});
    auto both = start(hall, {"a", "t"});
    auto of_event = start(hall, {"a"});
    REQUIRE(comes_to_an_end(hall, both));
    CHECK(both.state() == "a t");
    CHECK(of_event.state() == "waits");
}

TEST_CASE("a pulse that a timer sets is counted by who waits for it")
{
    Hall hall;
    hall.create("p", Mode::pulse);
    arm(hall, {.name = t, .interval = 1ms, .sets = "p"_name});
    auto waiter = start(hall, {.names = names({"p"}), .count = Count{5}});
    REQUIRE(comes_to_an_end(hall, waiter));
    CHECK(waiter.state() == "p");
    CHECK(waiter.count() >= 5);
    CHECK(waiter.count() <= points(hall));
}

TEST_CASE("more than one is wanted only of timers and pulses")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    Hall hall;
    hall.create("e", mode);
    hall.create("p", Mode::pulse);
    arm(hall, {.name = t, .after = 1h});
    const auto wait = [&](std::initializer_list<std::string_view> list, std::int64_t count) {
        return start(hall, {.names = names(list), .count = Count{count}}).state();
    };
    CHECK(wait({"e"}, 2) == "WrongKind");
    CHECK(wait({"t", "e"}, 2) == "WrongKind");
    CHECK(wait({"e"}, 1) == "waits");
    CHECK(wait({"t", "p"}, 2) == "waits");
    CHECK(wait({"missing"}, 2) == "waits");
    CHECK(hall.quota.used(alice, Resource::waits) == 0);
}

TEST_CASE("a deleted timer ends the waits for it")
{
    Hall hall;
    arm(hall, {.name = t, .after = 1h});
    hall.create("e");
    auto one = start(hall, {"t"});
    auto other = start(hall, {"e", "t"}, any);
    REQUIRE(hall.registry.remove(hall.owner.peer, names({"t"})));
    CHECK(one.state() == "Deleted");
    CHECK(other.state() == "Deleted");
    CHECK(*one.wakes == 1);
}

TEST_CASE("a timer that is cancelled ends the waits for it, and those for others go on")
{
    WallClock wall_clock;
    Hall hall;
    const auto far = now_on(Clock::realtime) + 1h;
    arm(hall, {.name = t, .first = far, .cancel_on_clock_change = true});
    arm(hall, {.name = "u"_name, .first = far});
    auto one = start(hall, {"t"});
    auto both = start(hall, {"u", "t"}, any);
    auto other = start(hall, {"u"});
    settle(hall.loop);
    CHECK(one.state() == "waits");
    wall_clock.shift(1000ns);
    REQUIRE(comes_to_an_end(hall, one));
    settle(hall.loop);
    CHECK(one.state() == "Cancelled");
    CHECK(both.state() == "Cancelled");
    CHECK(other.state() == "waits");
    CHECK(*one.wakes == 1);

    auto later = start(hall, {"t"}); // For when it is armed again.
    CHECK(later.state() == "waits");
    arm(hall, {.name = t, .first = now_on(Clock::realtime) + 1ms});
    REQUIRE(comes_to_an_end(hall, later));
    CHECK(later.state() == "t");
}

TEST_CASE("who may not wait for a timer made later is refused and learns nothing of its expiry")
{
    Hall hall;
    auto stranger = start(hall, {.names = names({"t"})}, bob);
    auto owner = start(hall, {"t"});
    arm(hall,
        {.name = t, .clock = Clock::monotonic, .first = 1ns, .rights = "0600"_rights}); // Expires.
    CHECK(stranger.state() == "NotPermitted");
    REQUIRE(comes_to_an_end(hall, owner));
    CHECK(owner.state() == "t");
    CHECK(start(hall, {.names = names({"t"})}, bob).state() == "NotPermitted");
    CHECK(hall.waits.waiting_for(t) == 0);
}

TEST_CASE("a wait for a timer that takes too long is TimedOut, and the timer counts no more")
{
    Hall hall;
    arm(hall, {.name = t, .after = 1h});
    auto waiter = start(hall, {.names = names({"t"}), .timeout = 1ms});
    CHECK(timer(hall).appointment);
    REQUIRE(comes_to_an_end(hall, waiter));
    CHECK(waiter.state() == "TimedOut");
    CHECK_FALSE(timer(hall).appointment);
}

TEST_CASE("an expiry before the time was up counts, however late the loop turns")
{
    Hall hall;
    arm(hall, {.name = t, .after = 1ms});
    auto waiter = start(hall, {.names = names({"t"}), .timeout = 2ms});
    wait_until(Clock::monotonic, now_on(Clock::monotonic) + 5ms);
    REQUIRE(comes_to_an_end(hall, waiter));
    CHECK(waiter.state() == "t");
}

TEST_CASE("waits that end in one expiry all end, whatever else they wait for")
{
    Hall hall;
    arm(hall, {.name = t, .after = 2ms});
    arm(hall, {.name = "u"_name, .after = 1h});
    std::deque<Waiter> waiters;
    for (int i = 0; i < 500; ++i)
        waiters.push_back(i % 2 == 0 ? start(hall, {"t"}) : start(hall, {"u", "t"}, any));
    REQUIRE(comes_to_an_end(hall, waiters.back()));
    for (auto& waiter : waiters)
        CHECK(waiter.state() == "t");
    CHECK_FALSE(timer(hall, "u").appointment);
}

TEST_CASE("a wait that nobody wants any more leaves no appointment")
{
    Hall hall;
    arm(hall, {.name = t, .interval = 1ms});
    {
        auto waiter = start_for(hall, 1'000'000);
        CHECK(timer(hall).appointment);
        REQUIRE(hall.loop.run_once(20s));
    }
    CHECK_FALSE(timer(hall).appointment);
    CHECK(*hall.loop.run_once(0ns) == 0);
}

TEST_CASE("a one-shot timer that was counted when the clock is set back still releases at once")
{
    WallClock wall_clock;
    const auto deadline = monotonic_after(20s);
    while (left_until(deadline) > 0ns) { // Whether it is in time is luck.
        Hall hall;
        auto other = start(hall, {"missing", "t"}); // For which it is counted.
        arm(hall, {.name = t, .first = now_on(Clock::realtime) + 200us});
        const auto first = timer(hall).arming().schedule.first;
        wait_until(Clock::realtime, first);
        REQUIRE(turn_until(hall.loop, [&] { return timer(hall).has_expired(); }));
        wall_clock.shift(-900us);
        auto waiter = start(hall, {"t"});
        const bool was_in_time = now_on(Clock::realtime) < first;
        wall_clock.set_back();
        CHECK(waiter.state() == "t");
        if (was_in_time)
            return;
    }
    skip("the machine is too busy to set the wall clock back in time");
}

} // namespace
} // namespace evfd::daemon
