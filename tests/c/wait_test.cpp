// Tests of evfd.h: blocking waits for one, any and all events.
#include "tests/c/fixture.h"
#include "tests/support/configured_daemon.h"
#include "tests/support/skip.h"
#include "tests/support/wall_clock.h"

#include <sys/syscall.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace evfd::e2e {
namespace {

// Returns whether another thread of this process sleeps in a wait now.
bool is_waiter_asleep()
{
    for (const auto thread : threads_of(::getpid()))
        if (thread != ::gettid() && (is_blocked_in(::getpid(), thread, SYS_io_getevents) ||
                                     is_blocked_in(::getpid(), thread, SYS_io_pgetevents) ||
                                     is_blocked_in(::getpid(), thread, SYS_ppoll)))
            return true;
    return false;
}

// Waits until another thread of this process sleeps in a wait. Returns false at the deadline.
bool has_sleeping_waiter()
{
    return poll_until(is_waiter_asleep);
}

TEST_CASE("a set by another client ends a blocking wait")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const auto timeout = GENERATE(EVFD_FOREVER, timeout_ns);
    const int fd = create_event("e", mode);
    std::int64_t consumed = 0;
    std::thread waiter{[&] { consumed = evfd_wait(fd, timeout); }};
    CHECK(has_sleeping_waiter());
    CHECK(evfd_set_name("e") == 0);
    waiter.join();
    CHECK(consumed == 1);
    CHECK(evfd_is_set(fd) == (mode == EVFD_MANUAL));
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a set of a manual event that is cleared at once releases a waiter")
{
    const ConnectedDaemon daemon;
    if (evfd_latches_waits() == 0)
        skip("without kernel AIO, a wait can miss a set that is cleared at once");
    const int fd = create_event("e");
    for (int round = 0; round < 20; ++round) {
        std::int64_t consumed = 0;
        std::thread waiter{[&] { consumed = evfd_wait(fd, timeout_ns); }};
        REQUIRE(poll_until([&] { return has_sleeping_waiter(); }));
        CHECK(evfd_set(fd) == 0);
        CHECK(evfd_clear(fd) == 0);
        waiter.join();
        CHECK(consumed == 1);
    }
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a wait fails with ETIMEDOUT when its timeout has passed, and not before")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_PULSE));
    const char* const name = "e";
    constexpr auto timeout = 2ms;
    for (int function = 0; function < 6; ++function) {
        const auto begin = monotonic_now();
        switch (function) {
        case 0: expect_error(evfd_wait(fd, nanoseconds{timeout}.count()), ETIMEDOUT); break;
        case 1:
            expect_error(evfd_wait_any(&fd, 1, nanoseconds{timeout}.count(), nullptr), ETIMEDOUT);
            break;
        case 2: expect_error(evfd_wait_all(&fd, 1, nanoseconds{timeout}.count()), ETIMEDOUT); break;
        case 3: expect_error(evfd_wait_name(name, nanoseconds{timeout}.count()), ETIMEDOUT); break;
        case 4:
            expect_error(evfd_wait_any_name(&name, 1, nanoseconds{timeout}.count(), nullptr),
                         ETIMEDOUT);
            break;
        default:
            expect_error(evfd_wait_all_name(&name, 1, nanoseconds{timeout}.count()), ETIMEDOUT);
        }
        CHECK(monotonic_now() - begin >= timeout);
    }
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_trywait consumes like a wait, and fails with EAGAIN if nothing is set")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int fd = create_event("e", mode);
    expect_error(evfd_trywait(fd), EAGAIN);
    ok(evfd_add(fd, 2));
    CHECK(evfd_trywait(fd) == (mode == EVFD_PULSE ? 2 : 1));
    if (mode == EVFD_MANUAL || mode == EVFD_SEMAPHORE)
        CHECK(evfd_trywait(fd) == 1);
    if (mode != EVFD_MANUAL)
        expect_error(evfd_trywait(fd), EAGAIN);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_trywait consumes the expirations of a timer")
{
    const ConnectedDaemon daemon;
    const evfd_schedule once = ScheduleSpec{.first_ns = 1};
    ok(evfd_arm_name("tick", &once, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    // The daemon arms the timerfd of a subscriber for the expirations to come.
    ok(evfd_arm(tick, &once));
    CHECK(poll_until([&] { return evfd_is_set(tick) == 1; }));
    CHECK(evfd_trywait(tick) == 1);
    expect_error(evfd_trywait(tick), EAGAIN);
    CHECK(evfd_close(tick) == 0);
}

TEST_CASE("evfd_wait_until waits until a time on each clock, and not shorter")
{
    const ConnectedDaemon daemon;
    const auto [clock, number] = GENERATE(table<Clock, int>({
        {Clock::realtime, EVFD_CLOCK_DEFAULT},
        {Clock::realtime, EVFD_CLOCK_REALTIME},
        {Clock::monotonic, EVFD_CLOCK_MONOTONIC},
        {Clock::boottime, EVFD_CLOCK_BOOTTIME},
    }));
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int fd = create_event("e", mode);
    // If another test set the wall clock meanwhile, the clock could be behind the deadline again.
    const WallClockLock wall_clock;
    const auto deadline = now_on(clock) + 2ms;
    expect_error(evfd_wait_until(fd, number, deadline.count()), ETIMEDOUT);
    CHECK(now_on(clock) >= deadline);

    // A deadline in the past does not prevent a wait that needs no sleep.
    expect_error(evfd_wait_until(fd, number, deadline.count()), ETIMEDOUT);
    expect_error(evfd_wait_until(fd, number, 0), ETIMEDOUT);
    ok(evfd_set(fd));
    CHECK(evfd_wait_until(fd, number, 0) == 1);
    ok(evfd_set(fd));
    CHECK(evfd_wait_until(fd, number, INT64_MAX) == 1);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("evfd_wait_until waits longer if the wall clock is set back during the wait")
{
    skip_unless_wall_clock_can_be_set();
    const ConnectedDaemon daemon;
    const int fd = create_event("e", GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE));
    WallClockLock wall_clock;
    const auto deadline = now_on(Clock::realtime) + 50ms;
    std::int64_t returned = 0;
    nanoseconds end{0};
    std::atomic<bool> has_ended = false;
    std::jthread waiter{[&] {
        returned = evfd_wait_until(fd, EVFD_CLOCK_REALTIME, deadline.count());
        end = now_on(Clock::realtime);
        has_ended = true;
    }};
    // A slow machine can reach the deadline before the waiter is seen asleep.
    CHECK(poll_until([&] { return has_ended || is_waiter_asleep(); }));
    wall_clock.shift(-1ms);
    const bool was_set_in_time = now_on(Clock::realtime) + 1ms < deadline;
    waiter.join();
    CHECK(returned == -ETIMEDOUT);
    if (was_set_in_time)
        CHECK(end >= deadline);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a set ends a wait with a deadline on each clock")
{
    const ConnectedDaemon daemon;
    const auto clock = GENERATE(EVFD_CLOCK_REALTIME, EVFD_CLOCK_MONOTONIC, EVFD_CLOCK_BOOTTIME);
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    const int fd = create_event("e", mode);
    std::int64_t consumed = 0;
    std::thread waiter{[&] { consumed = evfd_wait_until(fd, clock, INT64_MAX); }};
    CHECK(has_sleeping_waiter());
    ok(evfd_set(fd));
    waiter.join();
    CHECK(consumed == 1);
    CHECK(evfd_is_set(fd) == (mode == EVFD_MANUAL));
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE(
    "evfd_wait_until rejects a clock or a deadline that is not valid, also if the event is set")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", EVFD_AUTO, 1);
    for (const int clock : {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME_ALARM,
                            CLOCK_BOOTTIME_ALARM, EVFD_CLOCK_REALTIME_ALARM, -1}) {
        expect_error(evfd_wait_until(fd, clock, 0), EINVAL);
        // The message must not name an alarm clock, which is not valid either.
        CHECK(std::string_view{evfd_error()}.contains("EVFD_CLOCK_MONOTONIC or EVFD_CLOCK_BOOTT"));
        CHECK_FALSE(std::string_view{evfd_error()}.contains("ALARM"));
    }
    for (const int clock : {EVFD_CLOCK_REALTIME, EVFD_CLOCK_MONOTONIC, EVFD_CLOCK_BOOTTIME})
        for (const auto deadline : {INT64_C(-1), INT64_MIN})
            expect_error(evfd_wait_until(fd, clock, deadline), EINVAL);
    CHECK(evfd_is_set(fd) == 1);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE(
    "evfd_wait_any consumes from the object that it returns, and evfd_wait_all from all or none")
{
    const ConnectedDaemon daemon;
    const evfd_schedule often = ScheduleSpec{.interval_ns = 1'000'000};
    ok(evfd_arm_name("tick", &often, 0, 0666));
    const int lock = create_event("lock", EVFD_AUTO);
    const int stop = create_event("stop");
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    const std::array fds{lock, stop, tick};
    std::int64_t consumed = 0;
    CHECK(evfd_wait_any(fds.data(), 3, timeout_ns, &consumed) == 2);
    CHECK(consumed >= 1);
    ok(evfd_disarm(tick));
    expect_error(evfd_wait_any(fds.data(), 3, 0, &consumed), ETIMEDOUT);

    ok(evfd_set(lock));
    expect_error(evfd_wait_all(fds.data(), 2, 0), ETIMEDOUT);
    CHECK(evfd_is_set(lock) == 1);
    ok(evfd_set(stop));
    CHECK(evfd_wait_all(fds.data(), 2, EVFD_FOREVER) == 0);
    CHECK(evfd_is_set(lock) == 0);
    CHECK(evfd_wait_any(fds.data(), 2, EVFD_FOREVER, nullptr) == 1);

    const std::array names{"lock", "stop"};
    CHECK(evfd_wait_any_name(names.data(), 2, timeout_ns, &consumed) == 1);
    CHECK(consumed == 1);
    expect_error(evfd_wait_all_name(names.data(), 2, 0), ETIMEDOUT);
    ok(evfd_set(lock));
    CHECK(evfd_wait_all_name(names.data(), 2, timeout_ns) == 0);
    CHECK(evfd_is_set(lock) == 0);

    expect_error(evfd_wait_any(fds.data(), 0, 0, nullptr), EINVAL);
    expect_error(evfd_wait_any(nullptr, 1, 0, nullptr), EINVAL);
    expect_error(evfd_wait_all(fds.data(), 1'000'000, 0), EINVAL);
    expect_error(evfd_wait_any_name(nullptr, 1, 0, nullptr), EINVAL);
    expect_error(evfd_wait_all_name(names.data(), 0, 0), EINVAL);
    const std::array twice{"lock", "lock"};
    expect_error(evfd_wait_all_name(twice.data(), 2, 0), EINVAL);
    const char* const none = nullptr;
    expect_error(evfd_wait_any_name(&none, 1, 0, nullptr), EINVAL);
    for (const int fd : fds)
        CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a wait for one event twice is rejected, also by two descriptors")
{
    const ConnectedDaemon daemon;
    const auto mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE);
    const int fd = create_event("e", mode, 1);
    const int other = create_event("e", mode);
    for (const int duplicate : {fd, other}) {
        const std::array fds{fd, duplicate};
        expect_error(evfd_wait_all(fds.data(), 2, 0), EINVAL);
        expect_error(evfd_wait_any(fds.data(), 2, 0, nullptr), EINVAL);
    }
    CHECK(evfd_is_set(fd) == 1);
    CHECK(evfd_close(fd) == 0);
    CHECK(evfd_close(other) == 0);
}

TEST_CASE("a wait by name may precede the event, and fails when the event is deleted")
{
    const ConnectedDaemon daemon;
    std::int64_t consumed = 0;
    std::string message;
    const bool is_deleted = GENERATE(true, false);
    std::thread waiter{[&] {
        consumed = evfd_wait_name("e", timeout_ns);
        message = evfd_error();
    }};
    REQUIRE(daemon.has_waits("e", 1));
    const int fd = create_event("e");
    if (is_deleted)
        ok(evfd_delete("e"));
    else
        ok(evfd_set(fd));
    waiter.join();
    CHECK(consumed == (is_deleted ? -EIDRM : 1));
    CHECK(message.contains("deleted") == is_deleted);
    CHECK(evfd_close(fd) == 0);
}

TEST_CASE("a wait fails with ECANCELED when a change of the wall clock cancels the timer")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const ConnectedDaemon daemon;
    const evfd_schedule late = ScheduleSpec{.first_ns = (now_on(Clock::realtime) + 1h).count(),
                                            .flags = EVFD_ABSOLUTE | EVFD_CANCEL_ON_CLOCK_CHANGE};
    ok(evfd_arm_name("tick", &late, 0, 0666));
    const int tick = ok(evfd_open("tick", 0, 0, 0));
    set_wall_clock_and_back();
    expect_error(evfd_wait(tick, timeout_ns), ECANCELED);
    CHECK(evfd_close(tick) == 0);
}

TEST_CASE("a reached limit is EDQUOT, not EACCES")
{
    const ReloadableDaemon configured{R"({"limits": {"objects": 1}})"};
    ok(evfd_connect(configured.daemon.path().c_str()));
    const int fd = create_event("e");
    expect_error(evfd_open("f", EVFD_CREATE, 0666, 0), EDQUOT);
    const evfd_schedule often = ScheduleSpec{.interval_ns = 1'000'000};
    expect_error(evfd_arm_name("tick", &often, 0, 0666), EDQUOT);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
