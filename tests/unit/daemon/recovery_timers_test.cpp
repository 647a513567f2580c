// Tests that timers continue across a restart of the daemon.
#include "tests/support/policy_fixture.h"
#include "tests/support/probe.h"
#include "tests/support/recovery_fixture.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace evfd::daemon {
namespace {

TEST_CASE("timers are recovered with their schedules and states")
{
    auto fixture = new_fixture();
    const auto far = now_on(Clock::monotonic) + 1h;
    fixture->create("e", Mode::semaphore);
    for (const auto* name : {"armed", "disarmed", "linked", "past"}) {
        Timer timer{{.clock = Clock::monotonic,
                     .is_relative = false,
                     .cancel_on_clock_change = false,
                     .was_past = name == "past"s,
                     .schedule = {Clock::monotonic, name == "past"s ? 1ns : far, 0ns}},
                    name == "linked"s
                        ? std::optional{Timer::Target{"e"_name, object(*fixture, "e").serial,
                                                      make_peer(alice)}}
                        : std::nullopt};
        if (name == "disarmed"s)
            REQUIRE(timer.disarm());
        const auto id = fixture->registry.ids.next();
        fixture->state_store.put(id, timer_record(name, timer.record()));
    }
    fixture = commit_crash_and_restart(std::move(fixture));
    const auto state = [&](std::string_view name) {
        return object(*fixture, name).timer()->state_at(now_on(Clock::monotonic));
    };
    for (int i = 0; i < 2; ++i) {
        CHECK(state("armed") == TimerState::armed);
        CHECK(state("disarmed") == TimerState::disarmed);
        CHECK(state("linked") == TimerState::armed);
        CHECK(state("past") == TimerState::expired);
        CHECK(object(*fixture, "armed").timer()->spec().schedule.first == far);
        REQUIRE(object(*fixture, "linked").timer()->target);
        CHECK(object(*fixture, "linked").timer()->target->event == "e"_name);
        CHECK_FALSE(
            fixture->registry.timers.is_target_gone(*object(*fixture, "linked").timer()->target));
        fixture = commit_crash_and_restart(std::move(fixture));
    }
    CHECK(is_watched(object(*fixture, "linked")));
    CHECK_FALSE(is_watched(object(*fixture, "armed")));
}

TEST_CASE("the user by whose permission a timer sets its event is recovered")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::semaphore, 0, "0060"_permissions);
    object(*fixture, "e").ownership.group = team;
    // SetPermissions writes the record of the event, which contains the new group.
    fixture->registry.set_permissions(fixture->owner.peer, "e"_name, "0060"_permissions);
    Session member{7, {bob, bob, 1, {4, team}}, {}, {}};
    REQUIRE(
        fixture->registry.arm(member, {.name = "by-member"_name, .after = 1h, .sets = "e"_name}));
    const auto declared = fixture->registry.arm(
        member, {.name = "declared"_name, .after = 1h, .sets = "e"_name}, PolicyCheck::skip);
    REQUIRE(declared);
    const auto is_denied = [&](std::string_view name) {
        return fixture->registry.timers.is_target_denied(*object(*fixture, name).timer()->target);
    };
    for (int i = 0; i < 2; ++i) {
        fixture = commit_crash_and_restart(std::move(fixture));
        fixture->registry.authorization.set_policy({});
        CHECK_FALSE(is_denied("by-member"));
        CHECK_FALSE(is_denied("declared"));
        fixture->registry.authorization.set_policy(make_policy("e @team -s"));
        CHECK(is_denied("by-member"));
        CHECK_FALSE(is_denied("declared"));
        REQUIRE(
            fixture->registry.set_permissions(fixture->owner.peer, "e"_name, "0000"_permissions));
        CHECK(is_denied("declared"));
        REQUIRE(
            fixture->registry.set_permissions(fixture->owner.peer, "e"_name, "0060"_permissions));
    }
}

TEST_CASE("a timer target without a recorded user has the permissions of the timer's owner")
{
    auto fixture = new_fixture();
    fixture->create("e", Mode::semaphore, 0, "0600"_permissions);
    const auto serial = static_cast<record::Id>(object(*fixture, "e").serial);
    for (const auto owner : {alice, bob}) {
        auto timer = timer_record(owner == alice ? "of-alice" : "of-bob", every_millisecond());
        timer.owner = owner;
        timer.timer->target = record::Target{"e"_name, serial, false};
        fixture->state_store.put(fixture->registry.ids.next(), timer);
    }
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK_FALSE(
        fixture->registry.timers.is_target_denied(*object(*fixture, "of-alice").timer()->target));
    CHECK(fixture->registry.timers.is_target_denied(*object(*fixture, "of-bob").timer()->target));
}

TEST_CASE("a recovered timer adds exactly the expirations that it missed to its event")
{
    auto fixture = new_fixture();
    fixture->create("s", Mode::semaphore);
    const auto first = now_on(Clock::monotonic) - 2500 * 10ms;
    const auto id = fixture->registry.ids.next();
    fixture->state_store.put(
        id, timer_record("t", {.clock = Clock::monotonic,
                               .is_relative = false,
                               .cancel_on_clock_change = false,
                               .was_in_past = false,
                               .grid = Clock::monotonic,
                               .first = first,
                               .interval = 10ms,
                               .state = TimerState::armed,
                               .wall_offset = {},
                               .target = record::Target{
                                   "s"_name, static_cast<record::Id>(object(*fixture, "s").serial),
                                   false}}));
    fixture->state_store.put(id, record::Counters{.expirations = 100, .backlog = 30, .pulses = 0});
    fixture = commit_crash_and_restart(std::move(fixture));

    for (int i = 0; i < 3; ++i) { // The daemon crashes again before it has counted all expirations.
        REQUIRE(fixture->loop.run_once(1s));
        fixture = crash_and_restart(std::move(fixture));
    }
    REQUIRE(run_until(fixture->loop, [&] {
        const auto& timer = *object(*fixture, "t").timer();
        return timer.counted() >= 2500 && timer.target->backlog == 0;
    }));
    REQUIRE(fixture->registry.disarm(fixture->owner.peer, names({"t"})));
    const auto& timer = *object(*fixture, "t").timer();
    const auto counted = *timer.counted();
    CHECK(static_cast<std::int64_t>(tokens(*fixture, "s")) + timer.target->backlog ==
          counted - 100 + 30);
}

TEST_CASE("unread expirations of a descriptor survive a restart")
{
    auto fixture = new_fixture();
    arm(*fixture, {.name = "once"_name, .clock = Clock::monotonic, .after = 1ms});
    arm(*fixture, {.name = "wall"_name, .clock = Clock::realtime, .after = 1ms});
    const auto once = subscribe(*fixture, "once");
    const auto wall = subscribe(*fixture, "wall");
    fixture->finish_call();
    REQUIRE(await_events(once.fd, POLLIN));
    REQUIRE(await_events(wall.fd, POLLIN));
    for (int i = 0; i < 2; ++i)
        fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(object(*fixture, "once").subscriptions()->size() == 1);
    CHECK(take(once.fd) == 1U);
    CHECK(take(wall.fd) == 1U);
}

TEST_CASE("a cancellable timer that had expired is not cancelled later")
{
    auto fixture = new_fixture();
    const WallClockLock wall;
    arm(*fixture, {.name = "t"_name,
                   .clock = Clock::realtime,
                   .first = now_on(Clock::realtime) + 1ms,
                   .cancel_on_clock_change = true});
    REQUIRE(run_until(fixture->loop, [&] { return object(*fixture, "t").timer()->has_expired(); }));
    const auto id = object(*fixture, "t").serial;
    auto record = object(*fixture, "t").timer()->record();
    // Changes the recorded offset of the wall clock, as if the clock had been set while the daemon
    // was down.
    *record.wall_offset += 1'000'000'000;
    fixture->state_store.put(id, timer_record("t", record));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(object(*fixture, "t").timer()->state_at(now_on(Clock::realtime)) == TimerState::expired);
}

TEST_CASE("a cancellable timer is cancelled if the clock was set while the daemon was down")
{
    auto fixture = new_fixture();
    const WallClockLock wall;
    arm(*fixture, {.name = "t"_name,
                   .clock = Clock::realtime,
                   .first = now_on(Clock::realtime) + 1h,
                   .cancel_on_clock_change = true});
    fixture = commit_crash_and_restart(std::move(fixture));
    const auto state = [&] {
        return object(*fixture, "t").timer()->state_at(now_on(Clock::realtime));
    };
    CHECK(state() == TimerState::armed);
    auto record = object(*fixture, "t").timer()->record();
    *record.wall_offset += 1'000'000'000;
    fixture->state_store.put(object(*fixture, "t").serial, timer_record("t", record));
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(state() == TimerState::cancelled);
    fixture = commit_crash_and_restart(std::move(fixture));
    CHECK(state() == TimerState::cancelled);
}

// Drops the capability CAP_WAKE_ALARM permanently, see capset(2). Returns whether this succeeded.
bool drop_wake_capability()
{
    constexpr std::uint32_t bit = 1U << (35 - 32);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0)
        return false;
    sets[1].effective &= ~bit;
    sets[1].permitted &= ~bit;
    sets[1].inheritable &= ~bit;
    return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

TEST_CASE("a timer of an unavailable clock is recovered and does not disturb others")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    auto fixture = new_fixture();
    fixture->state_store.put(fixture->registry.ids.next(),
                             timer_record("t", {.clock = clock,
                                                .is_relative = false,
                                                .cancel_on_clock_change = false,
                                                .was_in_past = false,
                                                .grid = clock,
                                                .first = now_on(clock) + 1h,
                                                .interval = 1s,
                                                .state = TimerState::armed,
                                                .wall_offset = {},
                                                .target = {}}));
    fixture->state_store.commit();
    auto stored = crash(std::move(fixture));

    CHECK(probe::in_child([&] {
              if (!drop_wake_capability())
                  return 1;
              RegistryFixture without_capability{std::move(stored)};
              if (!without_capability.registry.objects.find("t"_name))
                  return 2;
              const auto wait = without_capability.start(
                  make_peer(alice), *without_capability.quota.charge(alice, Resource::waits),
                  {.items = wait_items({"t"})}, [] {});
              if (!wait)
                  return 3;
              run_until_idle(without_capability.loop);
              if (!without_capability.registry.set_permissions(without_capability.owner.peer,
                                                               "t"_name, "0666"_permissions))
                  return 4;
              return without_capability.registry.disarm(without_capability.owner.peer, names({"t"}))
                         ? 0
                         : 5;
          }) == 0);
}

} // namespace
} // namespace evfd::daemon
