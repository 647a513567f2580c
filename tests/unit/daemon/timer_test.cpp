#include "daemon/objects/timer.h"

#include "tests/support/service_fixture.h"
#include "tests/support/skip.h"
#include "tests/support/timer_fixture.h"

#include <sys/timerfd.h>

#include <cerrno>

namespace evfd::daemon {
namespace {

Arming armed_with(protocol::Arm request, std::optional<Clock> present = {})
{
    const auto arming = plan(request, present);
    REQUIRE(arming);
    return *arming;
}

struct Clockwork {
    explicit Clockwork(const protocol::Arm& request, std::optional<Timer::Link> link = {})
        : timer{armed_with(request), std::move(link)}
    {
    }
    UniqueFd open()
    {
        return follow(timer.followers(), *Token::make(), timer.make_descriptor(), quota);
    }
    void rearm(const protocol::Arm& request, std::optional<Timer::Link> link = {})
    {
        REQUIRE(timer.arm(armed_with(request, timer.clock()), std::move(link)));
    }
    nanoseconds now() const { return now_on(timer.arming().schedule.clock); }
    const Schedule& schedule() const { return timer.arming().schedule; }
    TimerState state() const { return timer.state_at(now()); }

    Quota quota{default_limits};
    Timer timer;
};

// An hourly grid in the midst of an hour, on the monotonic clock or one that began before it.
protocol::Arm hourly(Clock clock = Clock::realtime)
{
    return {.name = "t"_name, .clock = clock, .first = now_on(clock) - 10h - 30min, .interval = 1h};
}

// Followers.

TEST_CASE("each opener has a count of its own")
{
    WallClock wall_clock;
    Clockwork clockwork{{.name = "t"_name, .clock = Clock::realtime, .after = 1h}};
    const auto one = clockwork.open();
    const auto other = clockwork.open();

    clockwork.rearm(hourly());

    REQUIRE(comes(one, POLLIN));
    REQUIRE(comes(other, POLLIN));
    CHECK(take_expirations(one) == 11U);
    CHECK(take_expirations(one) == 0U);
    CHECK(take_expirations(other) == 11U);
}

TEST_CASE("who opens it in mid-flight gets the next point of the same grid, and none before")
{
    WallClock wall_clock;
    Clockwork clockwork{hourly()};
    const auto next = *clockwork.schedule().next_after(clockwork.now());

    const auto fd = clockwork.open();

    CHECK(take_expirations(fd) == 0U);
    CHECK(expiry_of(fd, Clock::realtime).overlaps({next, next}));
}

TEST_CASE("all openers are on one grid, whenever they came")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::boottime);
    Clockwork clockwork{{.name = "t"_name, .clock = clock, .interval = 1h}};
    const auto first = clockwork.schedule().first;
    std::deque<UniqueFd> fds;
    for (int i = 0; i < 20; ++i)
        fds.push_back(clockwork.open());
    for (const auto& fd : fds)
        CHECK(expiry_of(fd, clock).overlaps({first, first}));
}

TEST_CASE("who opens a timer that has expired for good finds its descriptor readable")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime);
    WallClock wall_clock;
    Clockwork clockwork{{.name = "t"_name, .clock = clock, .after = 1ns}};
    REQUIRE(clockwork.state() == TimerState::expired);

    const auto fd = clockwork.open();

    REQUIRE(comes(fd, POLLIN));
    CHECK(take_expirations(fd) == 1U);
    CHECK(time_left(fd) == 0ns);
}

TEST_CASE("who opens a timer that is not armed finds it disarmed")
{
    const bool is_cancelled = GENERATE(false, true);
    WallClock wall_clock;
    Clockwork clockwork{hourly()};
    if (is_cancelled)
        clockwork.timer.cancel();
    else
        REQUIRE(clockwork.timer.disarm());

    const auto fd = clockwork.open();

    CHECK(time_left(fd) == 0ns);
    CHECK(take_expirations(fd) == 0U);
    CHECK(clockwork.state() == (is_cancelled ? TimerState::cancelled : TimerState::disarmed));
}

TEST_CASE("arming anew reaches every opener, and what was not read is forgotten")
{
    Clockwork clockwork{{.name = "t"_name, .after = 1ns}};
    std::deque<UniqueFd> fds;
    for (int i = 0; i < 3; ++i)
        fds.push_back(clockwork.open());
    for (const auto& fd : fds)
        REQUIRE(comes(fd, POLLIN));

    clockwork.rearm({.name = "t"_name, .after = 1h, .interval = 7s});

    const auto first = clockwork.schedule().first;
    for (const auto& fd : fds) {
        CHECK(take_expirations(fd) == 0U);
        CHECK(expiry_of(fd, Clock::monotonic).overlaps({first, first}));
        CHECK(probe::fdinfo(fd, "it_interval") == "(7, 0)");
    }
}

TEST_CASE("disarming reaches every opener, and what was not read is forgotten")
{
    const auto clock = GENERATE(Clock::monotonic, Clock::realtime);
    WallClock wall_clock;
    Clockwork clockwork{{.name = "t"_name, .clock = clock, .after = 1ns, .interval = 1ms}};
    std::deque<UniqueFd> fds;
    for (int i = 0; i < 3; ++i)
        fds.push_back(clockwork.open());
    for (const auto& fd : fds)
        REQUIRE(comes(fd, POLLIN));

    REQUIRE(clockwork.timer.disarm());

    for (const auto& fd : fds) {
        CHECK(time_left(fd) == 0ns);
        CHECK(take_expirations(fd) == 0U);
    }
    CHECK(clockwork.state() == TimerState::disarmed);
    CHECK(clockwork.timer.count_new() == 0);
}

TEST_CASE("an opener who sets its own descriptor moves nobody else, and follows the next arming")
{
    Clockwork clockwork{{.name = "t"_name, .after = 1h}};
    const auto one = clockwork.open();
    const auto other = clockwork.open();
    const auto first = clockwork.schedule().first;
    REQUIRE(set(one, disarmed));
    REQUIRE(::fcntl(one.get(), F_SETFL, 0) == 0); // And makes it blocking.
    CHECK(expiry_of(other, Clock::monotonic).overlaps({first, first}));

    clockwork.rearm({.name = "t"_name, .after = 2h});

    const auto second = clockwork.schedule().first;
    CHECK(expiry_of(one, Clock::monotonic).overlaps({second, second}));
    CHECK(expiry_of(other, Clock::monotonic).overlaps({second, second}));
}

TEST_CASE("setting the wall clock moves an absolute time on it and not a span")
{
    constexpr auto by = 900us;
    WallClock wall_clock;
    const auto t = "t"_name;
    Clockwork absolute{
        {.name = t, .clock = Clock::realtime, .first = now_on(Clock::realtime) + 1h}};
    Clockwork relative{{.name = t, .clock = Clock::realtime, .after = 1h}};
    const auto fixed = absolute.open();
    const auto span = relative.open();
    // Both as the clock sees them that nobody sets.
    const auto fixed_before = expiry_of(fixed, Clock::monotonic);
    const auto span_before = expiry_of(span, Clock::monotonic);
    wall_clock.shift(by);
    const auto fixed_after = expiry_of(fixed, Clock::monotonic);
    const auto span_after = expiry_of(span, Clock::monotonic);

    CHECK(span_after.overlaps(span_before));
    CHECK_FALSE(span_after.overlaps(span_before.plus(-by)));
    CHECK(fixed_after.overlaps(fixed_before.plus(-by)));
    CHECK_FALSE(fixed_after.overlaps(fixed_before));

    REQUIRE(relative.timer.can_be_armed_with(absolute.timer.arming()));
    REQUIRE(relative.timer.arm(absolute.timer.arming(), {})); // And now it is absolute.
    const auto point = absolute.schedule().first;
    CHECK(expiry_of(span, Clock::realtime).overlaps({point, point}));
}

TEST_CASE("a span on realtime is followed by every opener, and never early")
{
    Clockwork clockwork{{.name = "t"_name, .clock = Clock::realtime, .after = 1h, .interval = 1h}};
    const auto fd = clockwork.open();
    const auto later = clockwork.open();
    for (const auto* one : {&fd, &later})
        CHECK(expiry_of(*one, Clock::monotonic).to >= clockwork.schedule().first);
    CHECK(probe::fdinfo(fd, "it_interval") == "(3600, 0)");
}

void check_that_none_counts_early(Clock clock, bool is_relative)
{
    INFO(word(clock) << (is_relative ? " relative" : " absolute"));
    WallClock wall_clock;
    protocol::Arm request{.name = "t"_name, .clock = clock, .interval = 130us};
    if (!is_relative)
        request.first = now_on(clock) + 200us;
    Clockwork clockwork{request};
    const auto fd = clockwork.open();
    const auto passed_before = clockwork.schedule().points_by(clockwork.now());

    std::int64_t counted = 0;
    for (int rings = 0; rings < 300; ++rings) {
        REQUIRE(comes(fd, POLLIN));
        counted += static_cast<std::int64_t>(*take_expirations(fd));
        REQUIRE(clockwork.schedule().points_by(clockwork.now()) >= counted);
    }
    CHECK(counted >= 300);
    wait_until(clockwork.schedule().clock, clockwork.now() + 5ms);
    const auto passed = clockwork.schedule().points_by(clockwork.now() - 5ms);
    counted += static_cast<std::int64_t>(*take_expirations(fd));
    CHECK(counted >= passed - passed_before); // And none is lost.
}

TEST_CASE("a descriptor counts no expiry before its point")
{
    check_that_none_counts_early(GENERATE(Clock::monotonic, Clock::realtime, Clock::boottime),
                                 GENERATE(true, false));
}

TEST_CASE("a descriptor on an alarm clock counts no expiry before its point")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_we_have(clock);
    check_that_none_counts_early(clock, GENERATE(true, false));
}

struct Follows {
    Clock clock;
    bool is_relative;
    Clock other_clock;
    bool other_is_relative;
    bool can;
};

void check_whether_it_follows(const Follows& c)
{
    const auto request = [](Clock clock, bool is_relative) {
        protocol::Arm arm{.name = "t"_name, .clock = clock};
        (is_relative ? arm.after : arm.first) = now_on(clock) / 2 + 1h;
        return arm;
    };
    const auto other = armed_with(request(c.other_clock, c.other_is_relative));
    Clockwork clockwork{request(c.clock, c.is_relative)};
    CHECK(clockwork.timer.can_be_armed_with(other)); // Nobody has it open.
    const auto fd = clockwork.open();
    CHECK(clockwork.timer.can_be_armed_with(other) == c.can);
}

TEST_CASE("a descriptor can follow another schedule unless that takes another clock")
{
    using enum Clock;
    check_whether_it_follows(GENERATE(values<Follows>({
        {monotonic, true, monotonic, false, true},
        {monotonic, true, boottime, true, false},
        {monotonic, true, realtime, true, false},
        {realtime, true, realtime, false, true},
        {realtime, false, realtime, true, true},
        {realtime, true, monotonic, true, false},
        {realtime, false, realtime_alarm, false, false},
    })));
}

TEST_CASE("a descriptor on an alarm clock can follow another schedule on the same clock")
{
    using enum Clock;
    const auto c = GENERATE(values<Follows>({
        {realtime_alarm, false, realtime_alarm, true, false},
        {boottime_alarm, true, realtime_alarm, true, true},
    }));
    skip_unless_we_have(c.clock);
    check_whether_it_follows(c);
}

TEST_CASE("the wall clock being set is told to openers of a timer that is cancelled by it")
{
    WallClock wall_clock;
    auto request = hourly();
    request.cancel_on_clock_change = true;
    Clockwork clockwork{request};
    const auto fd = clockwork.open();
    CHECK(take_expirations(fd) == 0U);
    wall_clock.shift(1000ns);
    REQUIRE(comes(fd, POLLIN));
    const auto told = take_expirations(fd);
    REQUIRE_FALSE(told);
    CHECK(told.error().error == ECANCELED);

    request.first = now_on(Clock::realtime) + 1h;
    clockwork.rearm(request);
    CHECK(take_expirations(fd) == 0U); // That was of before.
    CHECK(expiry_of(fd, Clock::realtime).overlaps({*request.first, *request.first}));
}

TEST_CASE("arming anew after the wall clock was set, and before that was read, works at once")
{
    WallClock wall_clock;
    auto request = hourly();
    request.cancel_on_clock_change = true;
    Clockwork clockwork{request};
    const auto fd = clockwork.open();
    wall_clock.shift(1000ns);

    request.first = now_on(Clock::realtime) + 1h;
    clockwork.rearm(request);

    CHECK(take_expirations(fd) == 0U);
    CHECK(expiry_of(fd, Clock::realtime).overlaps({*request.first, *request.first}));
}

// What an earlier daemon handed out.

TEST_CASE("looking at a descriptor that goes by the schedule, even while it is due, takes nothing")
{
    const auto start = now_on(Clock::monotonic);
    Clockwork clockwork{{.name = "t"_name, .clock = Clock::monotonic, .interval = 200us}};
    const auto fd = clockwork.open();
    const auto opened = clockwork.now();

    while (clockwork.now() < opened + 500ms)
        REQUIRE(clockwork.timer.check(fd));

    const auto before = clockwork.now();
    const auto ticks = static_cast<std::int64_t>(take_expirations(fd).value());
    CHECK(ticks >= clockwork.schedule().points_by(before) - clockwork.schedule().points_by(opened));
    CHECK(ticks <=
          clockwork.schedule().points_by(clockwork.now()) - clockwork.schedule().points_by(start));
}

TEST_CASE(
    "a descriptor that looks due for ever, as its holder made it, is looked at in bounded time")
{
    Clockwork clockwork{{.name = "t"_name, .clock = Clock::monotonic, .interval = 1h}};
    const auto fd = clockwork.open();
    const itimerspec disarmed_with_interval{.it_interval = to_timespec(1h), .it_value = {}};
    REQUIRE(::timerfd_settime(fd.get(), 0, &disarmed_with_interval, nullptr) == 0);
    CHECK(time_left(fd) == due);

    CHECK(clockwork.timer.check(fd));
    CHECK(time_left(fd) == due); // To set it would lose the point that may be under way.
    clockwork.rearm({.name = "t"_name, .clock = Clock::monotonic, .interval = 2h});
    CHECK(*time_left(fd) > 1h);
}

// Counting.

TEST_CASE("a one-shot timer is armed until its point, then expired, and counted once")
{
    Clockwork clockwork{{.name = "t"_name, .after = 1ms}};
    const auto first = clockwork.schedule().first;
    CHECK(clockwork.timer.state_at(first - 1ns) == TimerState::armed);
    CHECK(clockwork.timer.state_at(first) == TimerState::expired);
    CHECK(clockwork.timer.next_look() == first);
    CHECK_FALSE(clockwork.timer.has_expired());

    wait_until(Clock::monotonic, first);

    CHECK_FALSE(clockwork.timer.has_expired()); // It is still to be counted.
    CHECK(clockwork.timer.count_new() == 1);
    CHECK(clockwork.timer.count_new() == 0);
    CHECK(clockwork.timer.has_expired());
    CHECK_FALSE(clockwork.timer.next_look());
}

TEST_CASE("a one-shot timer that nobody counts has expired as soon as its point has passed")
{
    Clockwork clockwork{{.name = "t"_name, .after = 1ns}};
    clockwork.timer.stop_counting();
    CHECK(clockwork.timer.has_expired());
    clockwork.timer.start_counting();
    CHECK(clockwork.timer.has_expired());
    CHECK(clockwork.timer.count_new() == 0); // That was before.
    REQUIRE(clockwork.timer.disarm());
    CHECK_FALSE(clockwork.timer.has_expired());
}

TEST_CASE("counting begins with what comes, and again at every arming")
{
    Clockwork clockwork{{.name = "t"_name, .interval = 1ms}};
    clockwork.timer.stop_counting();
    CHECK_FALSE(clockwork.timer.next_look());
    wait_until(Clock::monotonic, clockwork.schedule().first + 5ms);
    const auto before = clockwork.schedule().points_by(clockwork.now());
    clockwork.timer.start_counting();
    const auto after = clockwork.schedule().points_by(clockwork.now());
    wait_until(Clock::monotonic, clockwork.now() + 5ms);

    const auto counted = clockwork.timer.count_new();

    CHECK(counted >= 4);
    CHECK(counted <= clockwork.schedule().points_by(clockwork.now()) - before);
    CHECK(clockwork.timer.next_look() > clockwork.schedule().point(after));

    clockwork.timer.stop_counting();
    clockwork.rearm({.name = "t"_name, .after = 1h});
    CHECK(clockwork.timer.is_counting());
    CHECK(clockwork.timer.next_look() == clockwork.schedule().first);
}

TEST_CASE("of the points that had passed when it was armed one is counted")
{
    const auto interval = GENERATE(0ns, 1ns, 1h);
    Clockwork clockwork{
        {.name = "t"_name, .clock = Clock::monotonic, .first = 1ns, .interval = interval}};
    const auto next = clockwork.timer.next_look();
    REQUIRE(next);
    CHECK(*next <= clockwork.now());
    const auto counted = clockwork.timer.count_new();
    if (interval == 1ns)
        CHECK(counted >= 1); // And those since.
    else
        CHECK(counted == 1);
}

TEST_CASE("a timer that expires more often than it is looked at is counted in lumps")
{
    Clockwork clockwork{{.name = "t"_name, .interval = 1ns}};
    std::int64_t counted = 0;
    for (int i = 0; i < 5; ++i) {
        const auto look = *clockwork.timer.next_look();
        wait_until(Clock::monotonic, look);
        const auto before = clockwork.now();
        counted += clockwork.timer.count_new();
        CHECK(*clockwork.timer.next_look() >= before + min_look_interval);
        CHECK(counted <= clockwork.schedule().points_by(clockwork.now()));
        CHECK(counted >= clockwork.schedule().points_by(before));
    }
}

TEST_CASE("at the end of the clock nothing is to come")
{
    Clockwork clockwork{{.name = "t"_name, .first = end_of_clock, .interval = 1ns}};
    CHECK(clockwork.timer.next_look() == end_of_clock);
    CHECK(clockwork.timer.count_new() == 0);
    const auto fd = clockwork.open();
    CHECK(*time_left(fd) > 24h);

    clockwork.rearm({.name = "t"_name, .first = 1ns, .interval = end_of_clock});
    CHECK(clockwork.timer.count_new() == 1);
    CHECK_FALSE(clockwork.timer.next_look());
    CHECK(clockwork.state() == TimerState::armed);
    CHECK(take_expirations(clockwork.open()) == 0U);
}

Timer::Link link_to_e(std::uint64_t serial, std::int64_t owed = 0)
{
    return {.event = "e"_name, .serial = serial, .armer = {2001, 2001, 1, {}}, .owed = owed};
}

TEST_CASE("it is the daemon that counts where something hangs on it, and only then")
{
    WallClock wall_clock;
    const auto far = now_on(Clock::realtime) + 1h;
    const auto link = link_to_e(1);
    CHECK_FALSE(Clockwork{{.name = "t"_name, .after = 1h}}.timer.is_needed());
    CHECK(Clockwork({.name = "t"_name, .after = 1h}, link).timer.is_needed());
    CHECK(Clockwork{{.name = "t"_name, .first = far, .cancel_on_clock_change = true}}
              .timer.is_needed());

    Clockwork lost({.name = "t"_name, .after = 1h}, link);
    lost.timer.link()->is_lost = true;
    CHECK_FALSE(lost.timer.is_needed());

    Clockwork owing({.name = "t"_name, .after = 1h}, link);
    owing.timer.link()->owed = 3;
    REQUIRE(owing.timer.disarm());
    CHECK(owing.timer.is_needed());
    const auto look = owing.timer.next_look();
    REQUIRE(look);
    CHECK(*look <= owing.now() + 1ns);
    owing.timer.link()->owed = 0;
    CHECK_FALSE(owing.timer.is_needed());
    CHECK_FALSE(owing.timer.next_look());
}

TEST_CASE("a timer on an alarm clock is needed, as the daemon's own look is what wakes the machine")
{
    skip_unless_we_have(Clock::boottime_alarm);
    CHECK(Clockwork{{.name = "t"_name, .clock = Clock::boottime_alarm, .after = 1h}}
              .timer.is_needed());
}

TEST_CASE("what an event still has to get it gets after arming anew, and no other event does")
{
    Clockwork clockwork({.name = "t"_name, .after = 1h}, link_to_e(1, 5));
    clockwork.rearm({.name = "t"_name, .after = 2h}, link_to_e(1));
    CHECK(clockwork.timer.link()->owed == 5);
    clockwork.rearm({.name = "t"_name, .after = 2h}, link_to_e(2));
    CHECK(clockwork.timer.link()->owed == 0);
    clockwork.rearm({.name = "t"_name, .after = 2h});
    CHECK_FALSE(clockwork.timer.link());
}

TEST_CASE("a clock change cancels what asked for that, is armed and is not over")
{
    WallClock wall_clock;
    const auto t = "t"_name;
    const auto far = now_on(Clock::realtime) + 1h;
    CHECK_FALSE(Clockwork{{.name = t, .first = far}}.timer.is_cancelled_by_clock_change());
    Clockwork once{{.name = t, .first = far, .cancel_on_clock_change = true}};
    CHECK(once.timer.is_cancelled_by_clock_change());
    once.timer.cancel();
    CHECK(once.state() == TimerState::cancelled);
    CHECK_FALSE(once.timer.is_cancelled_by_clock_change());

    Clockwork over{{.name = t, .first = 1ns, .cancel_on_clock_change = true}};
    CHECK(over.timer.count_new() == 1);
    CHECK_FALSE(over.timer.is_cancelled_by_clock_change());

    Clockwork off{{.name = t, .first = far, .cancel_on_clock_change = true}};
    REQUIRE(off.timer.disarm());
    CHECK_FALSE(off.timer.is_cancelled_by_clock_change());
}

TEST_CASE("what is counted stays counted when the wall clock is set back before it")
{
    WallClock wall_clock;
    const auto deadline = monotonic_after(20s);
    while (left_until(deadline) > 0ns) { // Whether it is in time is luck.
        Clockwork clockwork{{.name = "t"_name, .first = now_on(Clock::realtime) + 200us}};
        wait_until(Clock::realtime, clockwork.schedule().first);
        CHECK(clockwork.timer.count_new() == 1);
        wall_clock.shift(-900us);
        const bool has_expired = clockwork.timer.has_expired();
        const auto counted = clockwork.timer.count_new();
        const bool was_in_time = clockwork.now() < clockwork.schedule().first;
        wall_clock.set_back();

        CHECK(has_expired); // None is to come.
        CHECK(counted == 0);
        if (was_in_time)
            return;
    }
    skip("the machine is too busy to set the wall clock back in time");
}

} // namespace
} // namespace evfd::daemon
