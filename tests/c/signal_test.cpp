// Tests of evfd.h: setting and clearing events, and arming timers, by descriptor and by name.
#include "tests/c/fixture.h"

#include <array>
#include <limits>
#include <thread>

namespace evfd::e2e {
namespace {

TEST_CASE("a manual event stays set until it is cleared, by name or on a descriptor")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e");
    const bool sets_by_name = GENERATE(true, false);
    const bool clears_by_name = GENERATE(true, false);
    for (int round = 0; round < 3; ++round) {
        CHECK(evfd_is_set(fd) == 0);
        CHECK(evfd_is_set_name("e") == 0);
        expect_error(evfd_wait(fd, 0), ETIMEDOUT);
        expect_error(evfd_wait_name("e", 0), ETIMEDOUT);
        CHECK((sets_by_name ? evfd_set_name("e") : evfd_set(fd)) == 0);
        CHECK(evfd_is_set(fd) == 1);
        CHECK(evfd_is_set_name("e") == 1);
        CHECK(evfd_wait(fd, EVFD_FOREVER) == 1);
        CHECK(evfd_wait_name("e", EVFD_FOREVER) == 1);
        CHECK((clears_by_name ? evfd_clear_name("e") : evfd_clear(fd)) == 0);
        CHECK(evfd_clear(fd) == 0); // Clearing an unset event is not an error.
    }
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("one wait consumes the set of an auto event, and one token of a semaphore")
{
    const ConnectedDaemon daemon;
    const int lock = create_event("lock", EVFD_AUTO, 1);
    CHECK(evfd_set(lock) == 0);
    CHECK(evfd_wait(lock, 0) == 1);
    expect_error(evfd_wait(lock, 0), ETIMEDOUT);

    const int jobs = create_event("jobs", EVFD_SEMAPHORE, 1);
    CHECK(evfd_add(jobs, 2) == 0);
    CHECK(evfd_add_name("jobs", 2) == 0);
    for (int i = 0; i < 5; ++i)
        CHECK((i % 2 == 0 ? evfd_wait(jobs, 0) : evfd_wait_name("jobs", 0)) == 1);
    expect_error(evfd_wait(jobs, 0), ETIMEDOUT);
    CHECK(evfd_add(jobs, 100) == 0);
    CHECK(evfd_clear(jobs) == 0);
    CHECK(evfd_is_set(jobs) == 0);
    expect_error(evfd_add(jobs, 0), EINVAL);
    expect_error(evfd_add(jobs, -1), EINVAL);
    expect_error(evfd_add_name("jobs", 1'000'000), EINVAL);
    CHECK(evfd_close(lock) == 0);
    CHECK(evfd_close(jobs) == 0);
}

TEST_CASE("a set of a full event succeeds, and of a full semaphore fails with EDQUOT")
{
    const ConnectedDaemon daemon;
    constexpr std::uint64_t full = 0xffff'ffff'ffff'fffe;
    const int event = create_event("e");
    const int jobs = create_event("jobs", EVFD_SEMAPHORE);
    for (const int fd : {event, jobs})
        REQUIRE(::write(fd, &full, sizeof full) == sizeof full);
    CHECK(evfd_set(event) == 0);
    expect_error(evfd_set(jobs), EDQUOT);
    // A clear consumes the tokens of a semaphore one by one. It fails if the semaphore has more
    // than 4294967295 tokens.
    expect_error(evfd_clear(jobs), EDQUOT);
    CHECK(evfd_close(event) == 0);
    CHECK(evfd_close(jobs) == 0);
}

TEST_CASE("a clear consumes all tokens, on the descriptor and by name")
{
    const ConnectedDaemon daemon;
    const int jobs = create_event("jobs", EVFD_SEMAPHORE, 50'000);
    CHECK(evfd_clear(jobs) == 0);
    CHECK(evfd_is_set(jobs) == 0);
    for (int i = 0; i < 4; ++i)
        REQUIRE(evfd_add(jobs, 16'384) == 0);
    CHECK(evfd_clear_name("jobs") == 0);
    CHECK(evfd_is_set(jobs) == 0);
    CHECK(evfd_close(jobs) == 0);
}

TEST_CASE("a pulse is counted for each subscriber")
{
    const ConnectedDaemon daemon;
    const int one = create_event("news", EVFD_PULSE);
    const int other = create_event("news", EVFD_PULSE);
    CHECK(evfd_set(one) == 0);
    CHECK(evfd_add(other, 2) == 0);
    CHECK(evfd_set_name("news") == 0);
    CHECK(evfd_wait(one, timeout_ns) == 4);
    expect_error(evfd_wait(one, 0), ETIMEDOUT);
    CHECK(evfd_is_set(other) == 1);
    CHECK(evfd_clear(other) == 0);
    expect_error(evfd_wait(other, 0), ETIMEDOUT);
    CHECK(evfd_close(one) == 0);
    CHECK(evfd_close(other) == 0);
}

TEST_CASE("every subscriber of a timer sees its current schedule")
{
    const ConnectedDaemon daemon;
    const int target = create_event("target", EVFD_SEMAPHORE);
    const evfd_schedule often = ScheduleSpec{.interval_ns = 1'000'000, .sets = "target"};
    CHECK(evfd_arm_name("tick", &often, 0, 0666) == 1);
    CHECK(evfd_arm_name("tick", &often, 0, 0666) == 0);
    const int one = ok(evfd_open("tick", 0, 0, 0));
    const int other = ok(evfd_open("tick", 0, 0, 0));
    CHECK(evfd_get_mode(one) == EVFD_TIMER);
    CHECK(evfd_get_access(one) == (EVFD_MAY_WAIT | EVFD_MAY_SET));
    for (const int fd : {one, other})
        CHECK(evfd_wait(fd, timeout_ns) >= 1);
    CHECK(evfd_wait(target, timeout_ns) == 1);
    CHECK(evfd_wait_name("tick", timeout_ns) >= 1);

    const evfd_schedule late =
        ScheduleSpec{.first_ns = 2 * timeout_ns, .clock = EVFD_CLOCK_DEFAULT};
    CHECK(evfd_arm(one, &late) == 0);
    for (const int fd : {one, other}) {
        CHECK(evfd_is_set(fd) == 0);
        CHECK(evfd_remaining(fd) > timeout_ns);
        expect_error(evfd_wait(fd, 0), ETIMEDOUT);
    }
    CHECK(evfd_disarm(other) == 0);
    CHECK(evfd_remaining(one) == 0);
    CHECK(evfd_disarm_name("tick") == 0);
    const evfd_schedule past =
        ScheduleSpec{.first_ns = 1, .clock = EVFD_CLOCK_MONOTONIC, .flags = EVFD_ABSOLUTE};
    CHECK(evfd_arm(one, &past) == 0);
    CHECK(evfd_wait(other, timeout_ns) == 1);
    for (const int fd : {one, other, target})
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a timer uses the clock of its schedule")
{
    const ConnectedDaemon daemon;
    const auto [clock, name] = GENERATE(table<int, Clock>({
        {EVFD_CLOCK_DEFAULT, Clock::monotonic},
        {EVFD_CLOCK_REALTIME, Clock::realtime},
        {EVFD_CLOCK_MONOTONIC, Clock::monotonic},
        {EVFD_CLOCK_BOOTTIME, Clock::boottime},
    }));
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns, .clock = clock};
    ok(evfd_arm_name("tick", &late, 0, 0666));
    const auto timer = value_or_throw(daemon.client().show("tick")).timer;
    REQUIRE(timer);
    CHECK(timer->clock == name);
}

TEST_CASE("a clock of clock_gettime(2) is rejected with the name of the right constant")
{
    const ConnectedDaemon daemon;
    const auto [clock, right] = GENERATE(table<clockid_t, std::string>({
        {CLOCK_MONOTONIC, "give EVFD_CLOCK_MONOTONIC"},
        {CLOCK_BOOTTIME, "give EVFD_CLOCK_BOOTTIME"},
        {CLOCK_REALTIME_ALARM, "give EVFD_CLOCK_REALTIME_ALARM"},
        {CLOCK_BOOTTIME_ALARM, "give EVFD_CLOCK_BOOTTIME_ALARM"},
        {CLOCK_MONOTONIC_RAW, "give EVFD_CLOCK_*"},
        {-1, "give EVFD_CLOCK_*"},
    }));
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns, .clock = clock};
    expect_error(evfd_arm_name("tick", &late, 0, 0666), EINVAL);
    CHECK(std::string_view{evfd_error()}.ends_with(right));
}

TEST_CASE("the default clock depends on the schedule alone, and not on the timer's last clock")
{
    const ConnectedDaemon daemon;
    const auto clock_of_tick = [&] {
        return value_or_throw(daemon.client().show("tick")).timer.value().clock;
    };
    const evfd_schedule relative = ScheduleSpec{.first_ns = timeout_ns};
    const evfd_schedule absolute =
        ScheduleSpec{.first_ns = INT64_C(4'000'000'000'000'000'000), .flags = EVFD_ABSOLUTE};
    CHECK(evfd_arm_name("tick", &relative, 0, 0666) == 1);
    CHECK(clock_of_tick() == Clock::monotonic);
    CHECK(evfd_arm_name("tick", &absolute, 0, 0666) == 0);
    CHECK(clock_of_tick() == Clock::realtime);
    CHECK(evfd_arm_name("tick", &relative, 0, 0666) == 0);
    CHECK(clock_of_tick() == Clock::monotonic);

    // While the timer is open, a schedule for another clock is refused, and the old one continues.
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    expect_error(evfd_arm(tick, &absolute), EBUSY);
    expect_error(evfd_arm_name("tick", &absolute, 0, 0666), EBUSY);
    CHECK(evfd_remaining(tick) > 0);
    CHECK(evfd_remaining(tick) <= timeout_ns);
    CHECK(evfd_close(tick) == 0);
}

TEST_CASE("a timer that is open keeps its clock")
{
    const ConnectedDaemon daemon;
    const evfd_schedule late = ScheduleSpec{.first_ns = timeout_ns};
    ok(evfd_arm_name("tick", &late, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    const evfd_schedule other = ScheduleSpec{.first_ns = timeout_ns, .clock = EVFD_CLOCK_BOOTTIME};
    expect_error(evfd_arm(tick, &other), EBUSY);
    expect_error(evfd_arm_name("tick", &other, 0, 0666), EBUSY);
    CHECK(evfd_remaining(tick) > 0);
    CHECK(evfd_close(tick) == 0);
}

TEST_CASE("an invalid schedule is rejected with a message")
{
    const ConnectedDaemon daemon;
    const int event = create_event("e");
    const evfd_schedule good = ScheduleSpec{.first_ns = timeout_ns};
    ok(evfd_arm_name("tick", &good, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    const evfd_schedule bad =
        GENERATE(ScheduleSpec{}, ScheduleSpec{.first_ns = -1}, ScheduleSpec{.interval_ns = -1},
                 ScheduleSpec{.interval_ns = 1'000'000, .clock = 99},
                 ScheduleSpec{.interval_ns = 1'000'000, .flags = 0x100},
                 ScheduleSpec{.first_ns = -1, .flags = EVFD_ABSOLUTE},
                 ScheduleSpec{.first_ns = 1, .flags = EVFD_CANCEL_ON_CLOCK_CHANGE},
                 ScheduleSpec{.interval_ns = 1'000'000, .sets = "a//b"},
                 ScheduleSpec{.interval_ns = 1'000'000, .sets = "tick"},
                 ScheduleSpec{.interval_ns = 1'000'000, .reserved = 1});
    expect_error(evfd_arm(tick, &bad), EINVAL);
    expect_error(evfd_arm_name("tick", &bad, 0, 0666), EINVAL);
    // The failed calls have not changed the previous schedule.
    CHECK(evfd_remaining(tick) > 0);

    expect_error(evfd_arm(tick, nullptr), EINVAL);
    expect_error(evfd_arm_name("tick", &good, EVFD_EXCL, 0666), EINVAL);
    expect_error(evfd_arm_name("tick", &good, 0, 01111), EINVAL);
    expect_error(evfd_arm_name("e", &good, 0, 0666), EBUSY);
    expect_error(evfd_arm_name(nullptr, &good, 0, 0666), EINVAL);
    expect_error(evfd_disarm_name("missing"), ENOENT);
    expect_error(evfd_arm(event, &good), EINVAL);
    expect_error(evfd_disarm(event), EINVAL);
    expect_error(evfd_remaining(event), EINVAL);
    expect_error(evfd_set(tick), EINVAL);
    expect_error(evfd_add(tick, 1), EINVAL);
    expect_error(evfd_clear(tick), EINVAL);
    expect_error(evfd_set_name("tick"), EINVAL);
    expect_error(evfd_add_name("tick", 2), EINVAL);
    expect_error(evfd_clear_name("tick"), EINVAL);
    expect_error(evfd_disarm_name("e"), EINVAL);
    CHECK(evfd_close(tick) == 0);
    CHECK(evfd_close(event) == 0);
}

TEST_CASE("a one-way set by name returns 0 whatever the daemon does with it")
{
    const ConnectedDaemon daemon;
    const int jobs = create_event("jobs", EVFD_SEMAPHORE);
    CHECK(evfd_set_name_oneway("jobs") == 0);
    CHECK(evfd_add_name_oneway("jobs", 2) == 0);
    CHECK(evfd_set_name_oneway("missing") == 0);
    for (int i = 0; i < 3; ++i)
        CHECK(evfd_wait(jobs, timeout_ns) == 1);
    CHECK(evfd_is_set(jobs) == 0);

    expect_error(evfd_set_name_oneway("a//b"), EINVAL);
    expect_error(evfd_set_name_oneway(nullptr), EINVAL);
    expect_error(evfd_add_name_oneway("jobs", 0), EINVAL);
    CHECK(evfd_close(jobs) == 0);
}

TEST_CASE("a one-way set by name waits for a daemon that is being restarted")
{
    ConnectedDaemon daemon;
    daemon.kill();
    int sent = -1;
    std::thread setter{[&] { sent = evfd_set_name_oneway("e"); }};
    daemon.restart();
    setter.join();
    CHECK(sent == 0);
    expect_error(evfd_set_name("e"), ENOENT);
}

} // namespace
} // namespace evfd::e2e
