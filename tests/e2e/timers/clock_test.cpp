// Tests of timers when the wall clock is set.
#include "tests/support/skip.h"
#include "tests/support/timers.h"
#include "tests/support/wall_clock.h"

#include <sched.h>
#include <signal.h>

#include <cerrno>

namespace evfd::e2e {
namespace {

nanoseconds in_one_hour()
{
    return now_on(Clock::realtime) + 1h;
}

// Two times count as equal in these tests if they differ by at most this.
constexpr nanoseconds tolerance = shift / 20;

// Waits until the timer's next expiration is at the time `moment` of the given clock. Returns false
// if that takes too long.
bool expires_at(const Timer& timer, Clock clock, nanoseconds moment)
{
    return poll_until([&] {
        const auto before = now_on(clock);
        const auto left = *value_or_throw(timer.remaining());
        const auto after = now_on(clock);
        return before + left >= moment - tolerance && after + left <= moment + tolerance;
    });
}

// Waits until Client::show() reports the next expiration as a time on the given clock. Returns
// false if that takes too long.
bool shows_next_on(const Client& client, std::string_view name, Clock clock)
{
    return poll_until([&] {
        const auto before = now_on(clock);
        const auto timer = *value_or_throw(client.show(name)).timer;
        const auto now = *timer.next - *timer.left;
        return before <= now && now <= now_on(clock);
    });
}

// Waits until the remaining time that Client::show() reports ends at the time `moment` of the
// monotonic clock. Returns false if that takes too long.
bool shows_expiry_at(const Client& client, std::string_view name, nanoseconds moment)
{
    return poll_until([&] {
        const auto before = now_on(Clock::monotonic);
        const auto left = *value_or_throw(client.show(name)).timer->left;
        const auto after = now_on(Clock::monotonic);
        return after - before < 3 * shift / 4 && before + left <= moment + tolerance &&
               after + left >= moment - tolerance;
    });
}

// Returns the next expiration of the timer as a time on the monotonic clock.
nanoseconds expiry_of(const Timer& timer)
{
    nanoseconds moment{};
    REQUIRE(poll_until([&] {
        const auto before = now_on(Clock::monotonic);
        moment = before + *value_or_throw(timer.remaining());
        return now_on(Clock::monotonic) - before < tolerance;
    }));
    return moment;
}

TEST_CASE("show reports whether setting the wall clock moves a timer")
{
    const DaemonProcess daemon;
    const auto [options, moves, message] =
        GENERATE(table<std::vector<std::string>, bool, std::string>({
            {{"--in", "1h"}, false, "monotonic; setting the wall clock does not move it"},
            {{"--in", "1h", "--clock", "realtime"},
             false,
             "realtime; setting the wall clock does not move it"},
            {{"--every", "1h", "--clock", "realtime"},
             false,
             "realtime; setting the wall clock does not move it"},
            {{"--at", "@9000000000"}, true, "realtime; setting the wall clock moves it"},
            {{"--at", "@1", "--every", "1h"}, true, "realtime; setting the wall clock moves it"},
            {{"--at", "@9000000000", "--clock", "boottime"},
             false,
             "boottime; setting the wall clock does not move it"},
            {{"--at", "@9000000000", "--cancel-on-clock-change"},
             true,
             "realtime; setting the wall clock cancels it"},
        }));
    auto words = std::vector{"arm"s, "t"s};
    words.insert(words.end(), options.begin(), options.end());
    daemon.checked_ctl(words);
    INFO(message);
    CHECK(daemon.checked_ctl({"show", "t"}).contains("  clock        " + message + "\n"));
    const auto timer = show_json(daemon, "t")["timer"];
    CHECK(timer["movesWithWallClock"] == moves);
    CHECK(timer["cancelOnClockChange"] == message.contains("cancels"));
}

// Two armed and open timers on the wall clock: one is absolute, the other relative.
struct AbsoluteAndRelative {
    AbsoluteAndRelative()
    {
        value_or_throw(client.arm("moment", {.at = absolute_time}));
        value_or_throw(client.arm("span", {.after = 1h, .clock = Clock::realtime}));
        absolute.emplace(value_or_throw(client.open_timer("moment")));
        relative.emplace(value_or_throw(client.open_timer("span")));
        relative_expiry = expiry_of(*relative);
    }
    void check_expiries() const
    {
        CHECK(expires_at(*absolute, Clock::realtime, absolute_time));
        CHECK(expires_at(*relative, Clock::monotonic, relative_expiry));
        // Client::show() reports the next expiration on the clock of the timer, which is the wall
        // clock here.
        CHECK(value_or_throw(client.show("moment")).timer->next == absolute_time);
        CHECK(shows_next_on(client, "moment", Clock::realtime));
        CHECK(shows_next_on(client, "span", Clock::realtime));
        CHECK(shows_expiry_at(client, "span", relative_expiry));
        CHECK(value_or_throw(client.show("moment")).timer->state == TimerState::armed);
        CHECK(value_or_throw(client.show("span")).timer->state == TimerState::armed);
    }

    WallClockLock wall_clock_lock;
    DaemonProcess daemon;
    Client client = daemon.client();
    nanoseconds absolute_time = in_one_hour();
    std::optional<Timer> absolute;
    std::optional<Timer> relative;
    nanoseconds relative_expiry{0};
};

TEST_CASE("absolute and relative timers on the wall clock expire when they were armed to")
{
    const AbsoluteAndRelative both;
    both.check_expiries();
}

TEST_CASE("setting the wall clock moves an absolute timer and not a relative one")
{
    skip_unless_wall_clock_can_be_set();
    const AbsoluteAndRelative both;
    const auto before = expiry_of(*both.absolute);
    {
        const Ahead ahead;
        both.check_expiries();
        CHECK(std::chrono::abs(before - expiry_of(*both.absolute) - shift) < 3 * tolerance);
    }
    both.check_expiries();
}

TEST_CASE("a relative timer on the wall clock has one grid for all its subscribers")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 1h, .clock = Clock::realtime}));
    const auto one = value_or_throw(client.open_timer("t"));
    constexpr auto later = 300ms;
    wait_for_duration(later);
    const auto other = value_or_throw(client.open_timer("t"));
    CHECK(std::chrono::abs(expiry_of(one) - expiry_of(other)) < later / 2);
}

TEST_CASE(
    "a wait through the daemon ends when the wall clock is set, if the timer is to be cancelled")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    daemon.checked_ctl({"arm", "t", "--at", "@9000000000", "--cancel-on-clock-change"});
    daemon.checked_ctl({"arm", "u", "--at", "@9000000000"});
    OutputReader cancelled{daemon.ctl_command({"wait", "t"})};
    OutputReader among_others{daemon.ctl_command({"wait", "--any", "u", "t", "missing"})};
    OutputReader other{daemon.ctl_command({"wait", "u"})};
    OutputReader monitor{daemon.ctl_command({"monitor", "t"})};
    REQUIRE(daemon.has_waits("t", 2));
    REQUIRE(daemon.has_waits("u", 2));
    REQUIRE(monitor.read_line()->starts_with("present\tt\trealtime\tin "));
    REQUIRE(monitor.read_line() == "ready");

    set_wall_clock_and_back();

    CHECK(cancelled.wait() == 9);
    CHECK(cancelled.errors() ==
          "evfdctl: the wall clock was set, which cancels 't'; arm it again\n");
    CHECK(among_others.wait() == 9);
    CHECK(monitor.read_line() == "changed\tt\trealtime\tcancelled");
    CHECK(daemon.has_waits("u", 1));
    const auto text = daemon.checked_ctl({"show", "t"});
    INFO(text);
    CHECK(text.contains("  state        cancelled\n"));
    CHECK_FALSE(text.contains("  next "));
    CHECK(show_json(daemon, "u")["timer"]["state"] == "armed");

    daemon.checked_ctl({"arm", "t", "--in", "1ms"});
    daemon.checked_ctl({"wait", "t"});
    CHECK(client.wait(std::vector{"t"s}, {.timeout = 0ns}));
}

TEST_CASE("a wait on a descriptor reports the cancellation of its timer once")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto interval = GENERATE(0ns, 1h);
    const Schedule schedule{
        .at = in_one_hour(), .interval = interval, .cancel_on_clock_change = true};
    REQUIRE(client.arm("t", schedule));
    const auto timer = value_or_throw(client.open_timer("t"));
    Worker waiter{[&](const WorkerSocket& parent) {
        const auto worker_timer = value_or_throw(daemon.client().open_timer("t"));
        parent.send(0);
        const auto waited = worker_timer.wait(default_timeout);
        require(!waited && waited.error().code == ErrorCode::cancelled,
                "the wait was not cancelled");
        require(waited.error().message.contains("arm it again"), waited.error().message);
        require(value_or_throw(worker_timer.wait(20ms)) == 0,
                "the cancellation was reported twice");
        require(
            poll_until([&] { return value_or_throw(worker_timer.remaining()) == std::nullopt; }),
            "the timer is still armed");
        parent.send(0);
        parent.send(static_cast<std::uint64_t>(value_or_throw(worker_timer.wait(default_timeout))));
    }};
    waiter.receive();

    std::optional<Ahead> ahead{std::in_place};

    waiter.receive();
    const auto waited = timer.wait(default_timeout);
    REQUIRE_FALSE(waited);
    CHECK(waited.error().code == ErrorCode::cancelled);
    CHECK(value_or_throw(timer.wait(20ms)) == 0);
    CHECK(poll_until([&] { return value_or_throw(timer.remaining()) == std::nullopt; }));
    CHECK(poll_until([&] {
        return value_or_throw(client.show("t")).timer->state ==
               // The change of the clock cancels the timer. The daemon itself must notice the
               // cancellation, although no client waits by name.
               TimerState::cancelled;
    }));
    // Sets the clock back. The timer must not report the cancellation again.
    ahead.reset();
    CHECK(value_or_throw(timer.wait(20ms)) == 0);
    const auto late = value_or_throw(client.open_timer("t"));
    CHECK(value_or_throw(late.wait(20ms)) == 0);

    REQUIRE(timer.arm({.at = 1s, .cancel_on_clock_change = true}));
    CHECK(waiter.receive() == 1);
    CHECK(value_or_throw(timer.wait(default_timeout)) == 1);
    CHECK(value_or_throw(late.wait(default_timeout)) == 1);
    CHECK(waiter.wait() == 0);
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::expired);

    // Sets the clock, which must not cancel a timer that has already expired.
    set_wall_clock_and_back();
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::expired);
}

TEST_CASE("a cancelled timer that nobody has read can be armed again")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.at = in_one_hour(), .cancel_on_clock_change = true}));
    const auto timer = value_or_throw(client.open_timer("t"));
    const auto schedule = GENERATE(Schedule{.at = 1s, .cancel_on_clock_change = true},
                                   Schedule{.at = 1s}, Schedule{.after = 1ms});
    set_wall_clock_and_back();
    REQUIRE(client.arm("t", schedule.after ? Schedule{.after = 1ms, .clock = Clock::realtime}
                                           : schedule));
    CHECK(value_or_throw(timer.wait(default_timeout)) == 1);
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::expired);
}

TEST_CASE("a wait for all that a cancelled timer ends consumes nothing from the others")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    REQUIRE(client.create("e", {.mode = mode, .initial = 1}));
    REQUIRE(client.arm("t", {.at = in_one_hour(), .cancel_on_clock_change = true}));
    const auto event = value_or_throw(client.open("e"));
    const auto timer = value_or_throw(client.open_timer("t"));
    const std::vector<const Waitable*> all{&event, &timer};
    CHECK_FALSE(value_or_throw(wait_all(all, 0ns)));

    set_wall_clock_and_back();

    const auto waited = wait_all(all, default_timeout);
    REQUIRE_FALSE(waited);
    CHECK(waited.error().code == ErrorCode::cancelled);
    CHECK(value_or_throw(client.show("e")).count == 1);
}

TEST_CASE("an expiration that had passed at arming counts even if the wall clock is set before it "
          "is counted")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("other", {.at = in_one_hour(), .cancel_on_clock_change = true}));
    OutputReader waiting{daemon.ctl_command({"wait", "t"})};
    REQUIRE(daemon.has_waits("t", 1));
    WireClient wire{daemon.path()};
    wire.request("Status");
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    wire.call(
        "Arm",
        {{"name", "t"}, {"clock", "realtime"}, {"firstNSec", 1}, {"cancelOnClockChange", true}});
    set_wall_clock_and_back();
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);

    CHECK(wire.reply()["parameters"]["created"] == true);
    CHECK(waiting.wait() == 0);
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::expired);
    CHECK(value_or_throw(client.show("other")).timer->state == TimerState::cancelled);
}

TEST_CASE("a timer without cancelOnClockChange is not cancelled")
{
    skip_unless_wall_clock_can_be_set();
    const WallClockLock lock;
    const DaemonProcess daemon;
    const auto client = daemon.client();
    const auto schedule = GENERATE_COPY(
        Schedule{.at = in_one_hour()}, Schedule{.after = 1h, .clock = Clock::realtime},
        Schedule{.after = 1h}, Schedule{.at = in_one_hour(), .interval = 1h});
    REQUIRE(client.arm("t", schedule));
    const auto timer = value_or_throw(client.open_timer("t"));
    set_wall_clock_and_back();
    CHECK(value_or_throw(timer.wait(0ns)) == 0);
    CHECK(value_or_throw(timer.remaining()));
    CHECK(value_or_throw(client.show("t")).timer->state == TimerState::armed);
}

TEST_CASE("relative and absolute times replace each other under an open descriptor")
{
    const DaemonProcess daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.after = 1h, .clock = Clock::realtime}));
    const auto timer = value_or_throw(client.open_timer("t"));
    for (int i = 0; i < 2; ++i) {
        REQUIRE(client.arm("t", {.at = now_on(Clock::realtime) + 2h}));
        CHECK(value_or_throw(timer.remaining()) > 1h + 30min);
        CHECK(value_or_throw(client.show("t")).timer->moves_with_wall_clock);
        REQUIRE(client.arm("t", {.at = 1s}));
        CHECK(value_or_throw(timer.wait(default_timeout)) == 1);
        REQUIRE(client.arm("t", {.after = 1ms}));
        // A schedule without a clock keeps the clock of the timer, here the wall clock.
        CHECK(value_or_throw(client.show("t")).timer->clock == Clock::realtime);
        CHECK(value_or_throw(timer.wait(default_timeout)) == 1);
        CHECK_FALSE(value_or_throw(client.show("t")).timer->moves_with_wall_clock);
    }
}

TEST_CASE("a timer can change its clock only while nobody has it open")
{
    const DaemonProcess daemon;
    const auto [before, after] =
        GENERATE(table<std::vector<std::string>, std::vector<std::string>>({
            {{"--in", "1h"}, {"--in", "1h", "--clock", "boottime"}},
            {{"--in", "1h"}, {"--at", "@9000000000"}},
            {{"--at", "@9000000000"}, {"--in", "1h", "--clock", "monotonic"}},
            {{"--in", "1h", "--clock", "boottime"}, {"--in", "1h", "--clock", "realtime"}},
        }));
    const auto arm = [&](const std::vector<std::string>& options) {
        auto words = std::vector{"arm"s, "t"s};
        words.insert(words.end(), options.begin(), options.end());
        return daemon.ctl(words);
    };
    REQUIRE(arm(before).status == 0);
    const auto clock = show_json(daemon, "t")["timer"]["clock"];
    std::optional<Timer> timer = value_or_throw(daemon.client().open_timer("t"));

    const auto refused = arm(after);
    INFO(refused.err);
    CHECK(refused.status == 7);
    CHECK(refused.err.contains("for all its subscribers"));
    CHECK(std::ranges::count(refused.err, '\n') == 1);
    CHECK(show_json(daemon, "t")["timer"]["clock"] == clock);
    CHECK(value_or_throw(timer->remaining()));

    timer.reset();
    CHECK(poll_until([&] { return arm(after).status == 0; }));
    CHECK(show_json(daemon, "t")["timer"]["clock"] != clock);
}

TEST_CASE("an absolute time on the monotonic clock is refused in a time namespace with offsets")
{
    skip_unless_root("make a time namespace");
    const DaemonProcess daemon;
    const auto run_in_namespace = [&](std::vector<std::string> words) {
        auto command = daemon.ctl_command(std::move(words));
        const std::vector<std::string> unshare{"/usr/bin/unshare", "--time", "--fork",
                                               "--monotonic", "1000"};
        command.argv.insert(command.argv.begin(), unshare.begin(), unshare.end());
        return run(command);
    };
    if (run_in_namespace({"status"}).status != 0)
        skip("no time namespace can be made here");

    const auto refused = run_in_namespace({"arm", "t", "--at", "@9000", "--clock", "monotonic"});
    CHECK(refused.status == 2);
    CHECK(refused.err.contains("on the clock monotonic cannot be given in a time namespace"));
    CHECK(daemon.ctl({"show", "t"}).status == 3);
    CHECK(run_in_namespace({"arm", "t", "--in", "1h", "--clock", "monotonic"}).status == 0);
    CHECK(run_in_namespace({"arm", "u", "--at", "@4000000000", "--clock", "boottime"}).status == 0);
    CHECK(run_in_namespace({"arm", "v", "--at", "@4000000000"}).status == 0);
}

TEST_CASE(
    "a program whose children alone are in a time namespace with offsets may use absolute times")
{
    skip_unless_root("make a time namespace");
    const DaemonProcess daemon;
    Worker worker{[&](const WorkerSocket& parent) {
        const auto client = daemon.client();
        const bool is_unshared = ::unshare(CLONE_NEWTIME) == 0;
        parent.send(is_unshared ? 1 : 0);
        if (!is_unshared)
            return;
        write_file("/proc/self/timens_offsets", "monotonic 1000 0\n");
        value_or_throw(
            client.arm("t", {.at = now_on(Clock::monotonic) + 1h, .clock = Clock::monotonic}));
    }};
    if (worker.receive() == 0)
        skip("no time namespace can be made here");
    CHECK(worker.wait() == 0);
    CHECK(show_json(daemon, "t")["timer"]["clock"] == "monotonic");
}

} // namespace
} // namespace evfd::e2e
