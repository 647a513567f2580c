#include "common/timerfd.h"

#include "tests/support/timer_fixture.h"

#include <unistd.h>

#include <cerrno>

namespace evfd {
namespace {

using From = TimerSetting::Base;

void check_new_timerfd(Clock clock)
{
    const auto fd = make_timerfd(clock);
    REQUIRE(fd);
    CHECK(time_left(*fd) == 0ns);
    CHECK(take_expirations(*fd) == 0U);
    CHECK((::fcntl(fd->get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(probe::fdinfo(*fd, "clockid") == std::to_string(to_clockid(clock)));
}

TEST_CASE("a new timerfd is disarmed, close-on-exec and non-blocking")
{
    check_new_timerfd(GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime));
}

TEST_CASE("a new timerfd on an alarm clock is disarmed, close-on-exec and non-blocking")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_available(clock);
    check_new_timerfd(clock);
}

TEST_CASE("alarm clocks are refused without CAP_WAKE_ALARM, and all other clocks work")
{
    constexpr uid_t nobody = 65534;
    const auto error_of = [](Clock clock) {
        return probe::in_child([clock] {
            if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0)
                return -1;
            const auto fd = make_timerfd(clock);
            return fd ? 0 : fd.error().error;
        });
    };
    CHECK(error_of(Clock::realtime_alarm) == EPERM);
    CHECK(error_of(Clock::boottime_alarm) == EPERM);
    CHECK(error_of(Clock::realtime) == 0);
    CHECK(error_of(Clock::boottime) == 0);
}

TEST_CASE("an absolute expiration in the past fires at once and counts all since")
{
    const auto fd = *make_timerfd(Clock::monotonic);
    const auto now = now_on(Clock::monotonic);
    REQUIRE(set(fd, {.first = 1ns, .interval = now / 4}));
    REQUIRE(await_events(fd, POLLIN));
    // The first expiration is at 1 ns. The interval is a quarter of `now`, so four more expirations
    // follow until `now`.
    CHECK(take_expirations(fd) == 5U);
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("a relative time starts now, and an absolute time starts at the zero of the clock")
{
    const auto fd = *make_timerfd(Clock::monotonic);
    const auto before = now_on(Clock::monotonic);

    REQUIRE(set(fd, {.first = 1h, .base = From::relative}));
    const auto by_span = expiry_of(fd, Clock::monotonic);
    CHECK(by_span.to >= before + 1h);
    CHECK(by_span.from <= now_on(Clock::monotonic) + 1h);

    REQUIRE(set(fd, {.first = before + 2h}));
    const auto by_point = expiry_of(fd, Clock::monotonic);
    CHECK(by_point.overlaps({before + 2h, before + 2h}));
}

TEST_CASE("setting or disarming a timerfd discards unread expirations")
{
    const auto setting = GENERATE(values<TimerSetting>(
        {disarmed, {.first = 1h, .base = From::relative}, {.first = end_of_clock}}));
    const auto fd = *make_timerfd(Clock::monotonic);
    REQUIRE(set(fd, {.first = 1ns}));
    REQUIRE(await_events(fd, POLLIN));

    REQUIRE(set(fd, setting));

    CHECK(take_expirations(fd) == 0U);
    CHECK((time_left(fd) == 0ns) == (setting.first == 0ns));
}

TEST_CASE("the last nanosecond of a clock is a valid expiration")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime);
    const auto fd = *make_timerfd(clock);
    REQUIRE(set(fd, {.first = end_of_clock, .interval = end_of_clock}));
    CHECK(*time_left(fd) > 24h);
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("an expired one-shot timerfd has no time left")
{
    const auto fd = *make_timerfd(Clock::monotonic);
    REQUIRE(set(fd, {.first = 1ns, .base = From::relative}));
    REQUIRE(await_events(fd, POLLIN));
    CHECK(time_left(fd) == 0ns);
    CHECK(take_expirations(fd) == 1U);
}

TEST_CASE("a change of the wall clock is reported once by a read to the timerfd that requested it")
{
    WallClockLock wall_clock;
    const auto cancellable = *make_timerfd(Clock::realtime);
    const auto other = *make_timerfd(Clock::realtime);
    const auto far = now_on(Clock::realtime) + 1h;
    REQUIRE(set(cancellable, {.first = far, .cancel_on_clock_change = true}));
    REQUIRE(set(other, {.first = far}));
    CHECK(take_expirations(cancellable) == 0U);
    wall_clock.shift(1000ns);

    REQUIRE(await_events(cancellable, POLLIN));
    const auto expirations = take_expirations(cancellable);
    REQUIRE_FALSE(expirations);
    CHECK(expirations.error().error == ECANCELED);
    CHECK(take_expirations(cancellable) == 0U);
    CHECK(take_expirations(other) == 0U);
}

TEST_CASE("a change of the wall clock does not disarm a timerfd that requested its report")
{
    WallClockLock wall_clock;
    const auto fd = *make_timerfd(Clock::realtime);
    const auto far = now_on(Clock::realtime) + 1h;
    REQUIRE(set(fd, {.first = far, .cancel_on_clock_change = true}));
    wall_clock.shift(1000ns);
    CHECK_FALSE(take_expirations(fd));
    CHECK(expiry_of(fd, Clock::realtime).overlaps({far, far}));
}

TEST_CASE("a timerfd does not report a change of the wall clock from before the request")
{
    WallClockLock wall_clock;
    const auto fd = *make_timerfd(Clock::realtime);
    const auto far = now_on(Clock::realtime) + 1h;
    REQUIRE(set(fd, {.first = far, .cancel_on_clock_change = true}));
    REQUIRE(set(fd, disarmed));
    wall_clock.shift(1000ns);

    REQUIRE(set(fd, {.first = far, .cancel_on_clock_change = true}));

    CHECK(expiry_of(fd, Clock::realtime).overlaps({far, far}));
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("setting a timerfd reports an unread clock change and takes effect")
{
    WallClockLock wall_clock;
    const auto fd = *make_timerfd(Clock::realtime);
    const auto far = now_on(Clock::realtime) + 1h;
    REQUIRE(set(fd, {.first = far, .cancel_on_clock_change = true}));
    wall_clock.shift(1000ns);

    const auto done = set(fd, {.first = far + 1h, .cancel_on_clock_change = true});

    REQUIRE_FALSE(done);
    CHECK(done.error().error == ECANCELED);
    CHECK(expiry_of(fd, Clock::realtime).overlaps({far + 1h, far + 1h}));
    CHECK(take_expirations(fd) == 0U);
}

TEST_CASE("a closed descriptor is a fault and not a disarmed timer")
{
    const UniqueFd none;
    CHECK(set(none, disarmed).error().error == EBADF);
    CHECK(take_expirations(none).error().error == EBADF);
    CHECK(time_left(none).error().error == EBADF);
    CHECK(current_setting(none).error().call == "timerfd_gettime(2)");
}

} // namespace
} // namespace evfd
