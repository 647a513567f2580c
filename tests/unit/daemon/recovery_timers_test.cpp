// Timers go on as if nothing had been.
#include "tests/support/probe.h"
#include "tests/support/policy_fixture.h"
#include "tests/support/recovery_fixture.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace evfd::daemon {
namespace {

TEST_CASE("timers are there again with their schedules and phases")
{
    auto hall = new_hall();
    const auto far = now_on(Clock::monotonic) + 1h;
    hall->create("e", Mode::semaphore);
    for (const auto* name : {"armed", "disarmed", "linked", "past"}) {
        Timer timer{{.clock = Clock::monotonic,
                     .is_relative = false,
                     .cancel_on_clock_change = false,
                     .was_past = name == "past"s,
                     .schedule = {Clock::monotonic, name == "past"s ? 1ns : far, 0ns}},
                    name == "linked"s ? std::optional{Timer::Link{
                                            "e"_name, object(*hall, "e").serial, person(alice)}}
                                      : std::nullopt};
        if (name == "disarmed"s)
            REQUIRE(timer.disarm());
        const auto id = hall->registry.new_id();
        hall->vault.put(id, timer_record(name, timer.record()));
    }
    hall = killed_and_restarted(std::move(hall));
    const auto state = [&](std::string_view name) {
        return object(*hall, name).timer()->state_at(now_on(Clock::monotonic));
    };
    for (int i = 0; i < 2; ++i) {
        CHECK(state("armed") == TimerState::armed);
        CHECK(state("disarmed") == TimerState::disarmed);
        CHECK(state("linked") == TimerState::armed);
        CHECK(state("past") == TimerState::expired);
        CHECK(object(*hall, "armed").timer()->arming().schedule.first == far);
        REQUIRE(object(*hall, "linked").timer()->link());
        CHECK(object(*hall, "linked").timer()->link()->event == "e"_name);
        CHECK_FALSE(hall->registry.is_broken(*object(*hall, "linked").timer()->link()));
        hall = killed_and_restarted(std::move(hall));
    }
    CHECK(hall->registry.is_watched(object(*hall, "linked")));
    CHECK_FALSE(hall->registry.is_watched(object(*hall, "armed")));
}

TEST_CASE("by whose right a timer sets its event is known after the daemon was killed")
{
    auto hall = new_hall();
    hall->create("e", Mode::semaphore, 0, "0060"_rights);
    object(*hall, "e").ownership.group = team;
    hall->registry.set_rights(hall->owner.peer, "e"_name, "0060"_rights); // Which notes it.
    Session member{7, {bob, bob, 1, {4, team}}, {}, {}};
    REQUIRE(hall->registry.arm(member, {.name = "by-member"_name, .after = 1h, .sets = "e"_name}));
    const auto declared = hall->registry.arm(
        member, {.name = "declared"_name, .after = 1h, .sets = "e"_name}, Registry::Leave::given);
    REQUIRE(declared);
    const auto is_denied = [&](std::string_view name) {
        return hall->registry.is_denied(*object(*hall, name).timer()->link());
    };
    for (int i = 0; i < 2; ++i) {
        hall = killed_and_restarted(std::move(hall));
        hall->registry.set_policy({});
        CHECK_FALSE(is_denied("by-member"));
        CHECK_FALSE(is_denied("declared"));
        hall->registry.set_policy(policy_of("e @team -s"));
        CHECK(is_denied("by-member"));
        CHECK_FALSE(is_denied("declared"));
        REQUIRE(hall->registry.set_rights(hall->owner.peer, "e"_name, "0000"_rights));
        CHECK(is_denied("declared"));
        REQUIRE(hall->registry.set_rights(hall->owner.peer, "e"_name, "0060"_rights));
    }
}

TEST_CASE("a link of which is not noted who armed it goes by the rights of the timer's owner")
{
    auto hall = new_hall();
    hall->create("e", Mode::semaphore, 0, "0600"_rights);
    const auto serial = static_cast<record::Id>(object(*hall, "e").serial);
    for (const auto owner : {alice, bob}) {
        auto timer = timer_record(owner == alice ? "hers" : "his", every_millisecond());
        timer.owner = owner;
        timer.timer->link = record::Link{"e"_name, serial, false};
        hall->vault.put(hall->registry.new_id(), timer);
    }
    hall = killed_and_restarted(std::move(hall));
    CHECK_FALSE(hall->registry.is_denied(*object(*hall, "hers").timer()->link()));
    CHECK(hall->registry.is_denied(*object(*hall, "his").timer()->link()));
}

TEST_CASE("a timer that sets an event makes up exactly for what it missed")
{
    auto hall = new_hall();
    hall->create("s", Mode::semaphore);
    const auto first = now_on(Clock::monotonic) - 2500 * 10ms;
    const auto id = hall->registry.new_id();
    hall->vault.put(
        id, timer_record(
                "t", {.clock = Clock::monotonic,
                      .is_relative = false,
                      .cancel_on_clock_change = false,
                      .was_past = false,
                      .grid = Clock::monotonic,
                      .first = first,
                      .interval = 10ms,
                      .phase = TimerState::armed,
                      .wall_offset = {},
                      .link = record::Link{
                          "s"_name, static_cast<record::Id>(object(*hall, "s").serial), false}}));
    hall->vault.put(id, record::Progress{.counted = 100, .owed = 30, .pulses = 0});
    hall = killed_and_restarted(std::move(hall));

    for (int i = 0; i < 3; ++i) { // Killed again while it makes up for it.
        REQUIRE(hall->loop.run_once(1s));
        hall = restarted(std::move(hall));
    }
    REQUIRE(turn_until(hall->loop, [&] {
        const auto& timer = *object(*hall, "t").timer();
        return timer.counted() >= 2500 && timer.link()->owed == 0;
    }));
    REQUIRE(hall->registry.disarm(hall->owner.peer, names({"t"})));
    const auto& timer = *object(*hall, "t").timer();
    const auto counted = *timer.counted();
    CHECK(static_cast<std::int64_t>(tokens(*hall, "s")) + timer.link()->owed == counted - 100 + 30);
}

TEST_CASE("ticks that were not read yet are still there")
{
    auto hall = new_hall();
    arm(*hall, {.name = "once"_name, .clock = Clock::monotonic, .after = 1ms});
    arm(*hall, {.name = "wall"_name, .clock = Clock::realtime, .after = 1ms});
    const auto once = follow(*hall, "once");
    const auto wall = follow(*hall, "wall");
    hall->registry.count_call(hall->owner, {});
    REQUIRE(comes(once.fd, POLLIN));
    REQUIRE(comes(wall.fd, POLLIN));
    for (int i = 0; i < 2; ++i)
        hall = killed_and_restarted(std::move(hall));
    CHECK(object(*hall, "once").followers()->size() == 1);
    CHECK(take(once.fd) == 1U);
    CHECK(take(wall.fd) == 1U);
}

// As a daemon left it that expired one or more times on a clock that was never set.
TEST_CASE("a timer to be cancelled that had expired before is not cancelled later")
{
    auto hall = new_hall();
    const WallClock wall;
    arm(*hall, {.name = "t"_name,
                .clock = Clock::realtime,
                .first = now_on(Clock::realtime) + 1ms,
                .cancel_on_clock_change = true});
    REQUIRE(turn_until(hall->loop, [&] { return object(*hall, "t").timer()->has_expired(); }));
    const auto id = object(*hall, "t").serial;
    auto record = object(*hall, "t").timer()->record();
    *record.wall_offset += 1'000'000'000; // As if the clock was set while no daemon was there.
    hall->vault.put(id, timer_record("t", record));
    hall = killed_and_restarted(std::move(hall));
    CHECK(object(*hall, "t").timer()->state_at(now_on(Clock::realtime)) == TimerState::expired);
}

TEST_CASE("a timer to be cancelled is cancelled if the clock was set while no daemon was there")
{
    auto hall = new_hall();
    const WallClock wall;
    arm(*hall, {.name = "t"_name,
                .clock = Clock::realtime,
                .first = now_on(Clock::realtime) + 1h,
                .cancel_on_clock_change = true});
    hall = killed_and_restarted(std::move(hall));
    const auto state = [&] {
        return object(*hall, "t").timer()->state_at(now_on(Clock::realtime));
    };
    CHECK(state() == TimerState::armed);
    auto record = object(*hall, "t").timer()->record();
    *record.wall_offset += 1'000'000'000;
    hall->vault.put(object(*hall, "t").serial, timer_record("t", record));
    hall = killed_and_restarted(std::move(hall));
    CHECK(state() == TimerState::cancelled);
    hall = killed_and_restarted(std::move(hall));
    CHECK(state() == TimerState::cancelled);
}

// Gives up CAP_WAKE_ALARM for good. capset(2)
bool give_up_waking_the_machine()
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

TEST_CASE("a timer of a clock that this daemon may not have is there and harms nobody")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    auto hall = new_hall();
    hall->vault.put(hall->registry.new_id(), timer_record("t", {.clock = clock,
                                                                .is_relative = false,
                                                                .cancel_on_clock_change = false,
                                                                .was_past = false,
                                                                .grid = clock,
                                                                .first = now_on(clock) + 1h,
                                                                .interval = 1s,
                                                                .phase = TimerState::armed,
                                                                .wall_offset = {},
                                                                .link = {}}));
    hall->vault.commit();
    auto kept = killed(std::move(hall));

    CHECK(probe::in_child([&] {
              if (!give_up_waking_the_machine())
                  return 1;
              Hall poor{std::move(kept)};
              if (!poor.registry.find("t"_name))
                  return 2;
              const auto wait =
                  poor.waits.start(person(alice), *poor.quota.take(alice, Resource::waits),
                                   {.names = names({"t"})}, [] {});
              if (!wait)
                  return 3;
              settle(poor.loop);
              if (!poor.registry.set_rights(poor.owner.peer, "t"_name, "0666"_rights))
                  return 4;
              return poor.registry.disarm(poor.owner.peer, names({"t"})) ? 0 : 5;
          }) == 0);
}

} // namespace
} // namespace evfd::daemon
