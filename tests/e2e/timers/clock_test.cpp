// Timers and the wall clock.
#include "tests/support/timers.h"
#include "tests/support/wall_clock.h"
#include "tests/support/skip.h"

#include <sched.h>
#include <signal.h>

#include <cerrno>

namespace evfd::e2e {
namespace {

nanoseconds far_ahead()
{
    return now_on(Clock::realtime) + 1h;
}

// So exactly two readings of clocks can be compared here.
constexpr nanoseconds tolerance = shift / 20;

// Whether the timer is to expire at that moment on the clock. If it is at another, this takes long.
bool expires_at(const Timer& timer, Clock clock, nanoseconds moment)
{
    return eventually([&] {
        const auto before = now_on(clock);
        const auto left = *must(timer.remaining());
        const auto after = now_on(clock);
        return before + left >= moment - tolerance && after + left <= moment + tolerance;
    });
}

// As show tells of one that is kept on another clock.
bool shows_next_by(const Client& client, std::string_view name, Clock clock)
{
    return eventually([&] {
        const auto before = now_on(clock);
        const auto timer = *must(client.show(name)).timer;
        const auto now = *timer.next - *timer.left;
        return before <= now && now <= now_on(clock);
    });
}

// Whether show tells that it is to expire at that moment on the monotonic clock.
bool shows_expiry_at(const Client& client, std::string_view name, nanoseconds moment)
{
    return eventually([&] {
        const auto before = now_on(Clock::monotonic);
        const auto left = *must(client.show(name)).timer->left;
        const auto after = now_on(Clock::monotonic);
        return after - before < 3 * shift / 4 && before + left <= moment + tolerance &&
               after + left >= moment - tolerance;
    });
}

// When it is to expire on the monotonic clock.
nanoseconds expiry_of(const Timer& timer)
{
    nanoseconds moment{};
    REQUIRE(eventually([&] {
        const auto before = now_on(Clock::monotonic);
        moment = before + *must(timer.remaining());
        return now_on(Clock::monotonic) - before < tolerance;
    }));
    return moment;
}

TEST_CASE("show says whether setting the wall clock moves a timer")
{
    const Daemon daemon;
    const auto [options, moves, says] =
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
    daemon.done(words);
    INFO(says);
    CHECK(daemon.done({"show", "t"}).contains("  clock     " + says + "\n"));
    const auto timer = shown(daemon, "t")["timer"];
    CHECK(timer["movesWithWallClock"] == moves);
    CHECK(timer["cancelOnClockChange"] == says.contains("cancels"));
}

// A moment on the wall clock and a span on it, both armed and open.
struct MomentAndSpan {
    MomentAndSpan()
    {
        must(client.arm("moment", {.at = moment}));
        must(client.arm("span", {.after = 1h, .clock = Clock::realtime}));
        of_moment.emplace(must(client.open_timer("moment")));
        of_span.emplace(must(client.open_timer("span")));
        end_of_span = expiry_of(*of_span);
    }
    void check_where_they_are() const
    {
        CHECK(expires_at(*of_moment, Clock::realtime, moment));
        CHECK(expires_at(*of_span, Clock::monotonic, end_of_span));
        CHECK(must(client.show("moment")).timer->next == moment); // On its clock.
        CHECK(shows_next_by(client, "moment", Clock::realtime));
        CHECK(shows_next_by(client, "span", Clock::realtime));
        CHECK(shows_expiry_at(client, "span", end_of_span));
        CHECK(must(client.show("moment")).timer->state == TimerState::armed);
        CHECK(must(client.show("span")).timer->state == TimerState::armed);
    }

    WallClock ours;
    Daemon daemon;
    Client client = daemon.client();
    nanoseconds moment = far_ahead();
    std::optional<Timer> of_moment;
    std::optional<Timer> of_span;
    nanoseconds end_of_span{0};
};

TEST_CASE("a moment on the wall clock is where it says, and so is a span on it")
{
    const MomentAndSpan both;
    both.check_where_they_are();
}

TEST_CASE("a moment on the wall clock moves when that is set, and a span on it does not")
{
    skip_unless_wall_clock_can_be_set();
    const MomentAndSpan both;
    const auto before = expiry_of(*both.of_moment);
    {
        const Ahead ahead;
        both.check_where_they_are();
        CHECK(std::chrono::abs(before - expiry_of(*both.of_moment) - shift) < 3 * tolerance);
    }
    both.check_where_they_are();
}

TEST_CASE("a span on the wall clock is on one grid for all, however late they open it")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.interval = 1h, .clock = Clock::realtime}));
    const auto one = must(client.open_timer("t"));
    constexpr auto later = 300ms;
    wait_through(later);
    const auto other = must(client.open_timer("t"));
    CHECK(std::chrono::abs(expiry_of(one) - expiry_of(other)) < later / 2);
}

TEST_CASE("who waits through the daemon hears that the wall clock was set, if that is to cancel")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    daemon.done({"arm", "t", "--at", "@9000000000", "--cancel-on-clock-change"});
    daemon.done({"arm", "u", "--at", "@9000000000"});
    Reading cancelled{daemon.control({"wait", "t"})};
    Reading among_others{daemon.control({"wait", "--any", "u", "t", "missing"})};
    Reading other{daemon.control({"wait", "u"})};
    Reading monitor{daemon.control({"monitor", "t"})};
    REQUIRE(daemon.has_waits("t", 2));
    REQUIRE(daemon.has_waits("u", 2));
    REQUIRE(monitor.line()->starts_with("present\tt\trealtime\tin "));
    REQUIRE(monitor.line() == "ready");

    set_wall_clock();

    CHECK(cancelled.wait() == 9);
    CHECK(cancelled.errors() ==
          "evfdctl: the wall clock was set, which cancels 't'; arm it anew\n");
    CHECK(among_others.wait() == 9);
    CHECK(monitor.line() == "changed\tt\trealtime\tcancelled");
    CHECK(daemon.has_waits("u", 1));
    const auto text = daemon.done({"show", "t"});
    INFO(text);
    CHECK(text.contains("  state     cancelled\n"));
    CHECK_FALSE(text.contains("  next "));
    CHECK(shown(daemon, "u")["timer"]["state"] == "armed");

    daemon.done({"arm", "t", "--in", "1ms"});
    daemon.done({"wait", "t"});
    CHECK(client.wait(std::vector{"t"s}, {.timeout = 0ns}));
}

TEST_CASE("a wait on a descriptor hears once that the timer is cancelled, and then it is quiet")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    const auto interval = GENERATE(0ns, 1h);
    const Schedule schedule{
        .at = far_ahead(), .interval = interval, .cancel_on_clock_change = true};
    REQUIRE(client.arm("t", schedule));
    const auto timer = must(client.open_timer("t"));
    Worker waiter{[&](const Line& line) {
        const auto its = must(daemon.client().open_timer("t"));
        line.say(0);
        const auto waited = its.wait(patience);
        require(!waited && waited.error().code == ErrorCode::cancelled, "not cancelled");
        require(waited.error().message.contains("arm it anew"), waited.error().message);
        require(must(its.wait(20ms)) == 0, "not quiet");
        require(eventually([&] { return must(its.remaining()) == std::nullopt; }), "it goes on");
        line.say(0);
        line.say(static_cast<std::uint64_t>(must(its.wait(patience))));
    }};
    waiter.hear();

    std::optional<Ahead> ahead{std::in_place};

    waiter.hear();
    const auto waited = timer.wait(patience);
    REQUIRE_FALSE(waited);
    CHECK(waited.error().code == ErrorCode::cancelled);
    CHECK(must(timer.wait(20ms)) == 0);
    CHECK(eventually([&] { return must(timer.remaining()) == std::nullopt; }));
    CHECK(eventually([&] {
        return must(client.show("t")).timer->state == TimerState::cancelled; // Nobody waits.
    }));
    ahead.reset(); // Set back: who has heard already hears no more.
    CHECK(must(timer.wait(20ms)) == 0);
    const auto late = must(client.open_timer("t"));
    CHECK(must(late.wait(20ms)) == 0);

    REQUIRE(timer.arm({.at = 1s, .cancel_on_clock_change = true}));
    CHECK(waiter.hear() == 1);
    CHECK(must(timer.wait(patience)) == 1);
    CHECK(must(late.wait(patience)) == 1);
    CHECK(waiter.wait() == 0);
    CHECK(must(client.show("t")).timer->state == TimerState::expired);

    set_wall_clock(); // It is over; there is nothing to cancel.
    CHECK(must(client.show("t")).timer->state == TimerState::expired);
}

TEST_CASE("a cancelled timer that nobody read of is armed anew as if it had not been")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.at = far_ahead(), .cancel_on_clock_change = true}));
    const auto timer = must(client.open_timer("t"));
    const auto schedule = GENERATE(Schedule{.at = 1s, .cancel_on_clock_change = true},
                                   Schedule{.at = 1s}, Schedule{.after = 1ms});
    set_wall_clock();
    REQUIRE(client.arm("t", schedule.after ? Schedule{.after = 1ms, .clock = Clock::realtime}
                                           : schedule));
    CHECK(must(timer.wait(patience)) == 1);
    CHECK(must(client.show("t")).timer->state == TimerState::expired);
}

TEST_CASE("a wait for all that ends because a timer is cancelled takes nothing of the others")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    REQUIRE(client.create("e", {.mode = mode, .initial = 1}));
    REQUIRE(client.arm("t", {.at = far_ahead(), .cancel_on_clock_change = true}));
    const auto event = must(client.open("e"));
    const auto timer = must(client.open_timer("t"));
    const std::vector<const Waitable*> all{&event, &timer};
    CHECK_FALSE(must(wait_all(all, 0ns)));

    set_wall_clock();

    const auto waited = wait_all(all, patience);
    REQUIRE_FALSE(waited);
    CHECK(waited.error().code == ErrorCode::cancelled);
    CHECK(must(client.show("e")).count == 1);
}

TEST_CASE("what had passed when it was armed is expired, even if the wall clock is set before it "
          "is counted")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("other", {.at = far_ahead(), .cancel_on_clock_change = true}));
    Reading waiting{daemon.control({"wait", "t"})};
    REQUIRE(daemon.has_waits("t", 1));
    Wire wire{daemon.path()};
    wire.ask("Status");
    REQUIRE(::kill(daemon.pid(), SIGSTOP) == 0);
    wire.call(
        "Arm",
        {{"name", "t"}, {"clock", "realtime"}, {"firstNSec", 1}, {"cancelOnClockChange", true}});
    set_wall_clock();
    REQUIRE(::kill(daemon.pid(), SIGCONT) == 0);

    CHECK(wire.reply()["parameters"]["created"] == true);
    CHECK(waiting.wait() == 0);
    CHECK(must(client.show("t")).timer->state == TimerState::expired);
    CHECK(must(client.show("other")).timer->state == TimerState::cancelled);
}

TEST_CASE("a timer that is not to be cancelled is not")
{
    skip_unless_wall_clock_can_be_set();
    const WallClock ours;
    const Daemon daemon;
    const auto client = daemon.client();
    const auto schedule =
        GENERATE_COPY(Schedule{.at = far_ahead()}, Schedule{.after = 1h, .clock = Clock::realtime},
                      Schedule{.after = 1h}, Schedule{.at = far_ahead(), .interval = 1h});
    REQUIRE(client.arm("t", schedule));
    const auto timer = must(client.open_timer("t"));
    set_wall_clock();
    CHECK(must(timer.wait(0ns)) == 0);
    CHECK(must(timer.remaining()));
    CHECK(must(client.show("t")).timer->state == TimerState::armed);
}

TEST_CASE("a span and a moment on the wall clock replace each other under an open descriptor")
{
    const Daemon daemon;
    const auto client = daemon.client();
    REQUIRE(client.arm("t", {.after = 1h, .clock = Clock::realtime}));
    const auto timer = must(client.open_timer("t"));
    for (int i = 0; i < 2; ++i) {
        REQUIRE(client.arm("t", {.at = now_on(Clock::realtime) + 2h}));
        CHECK(must(timer.remaining()) > 1h + 30min);
        CHECK(must(client.show("t")).timer->moves_with_wall_clock);
        REQUIRE(client.arm("t", {.at = 1s}));
        CHECK(must(timer.wait(patience)) == 1);
        REQUIRE(client.arm("t", {.after = 1ms}));
        CHECK(must(client.show("t")).timer->clock == Clock::realtime); // It stays.
        CHECK(must(timer.wait(patience)) == 1);
        CHECK_FALSE(must(client.show("t")).timer->moves_with_wall_clock);
    }
}

TEST_CASE("a timer changes to another clock only while nobody has it open")
{
    const Daemon daemon;
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
    const auto clock = shown(daemon, "t")["timer"]["clock"];
    std::optional<Timer> timer = must(daemon.client().open_timer("t"));

    const auto refused = arm(after);
    INFO(refused.err);
    CHECK(refused.status == 7);
    CHECK(refused.err.contains("for all who have it open"));
    CHECK(std::ranges::count(refused.err, '\n') == 1);
    CHECK(shown(daemon, "t")["timer"]["clock"] == clock);
    CHECK(must(timer->remaining()));

    timer.reset();
    CHECK(eventually([&] { return arm(after).status == 0; }));
    CHECK(shown(daemon, "t")["timer"]["clock"] != clock);
}

TEST_CASE("in a time namespace with offsets a moment on the monotonic clock is refused")
{
    skip_unless_root("make a time namespace");
    const Daemon daemon;
    const auto armed_there = [&](std::vector<std::string> words) {
        auto command = daemon.control(std::move(words));
        const std::vector<std::string> unshare{"/usr/bin/unshare", "--time", "--fork",
                                               "--monotonic", "1000"};
        command.words.insert(command.words.begin(), unshare.begin(), unshare.end());
        return run(command);
    };
    if (armed_there({"status"}).status != 0)
        skip("no time namespace can be made here");

    const auto refused = armed_there({"arm", "t", "--at", "@9000", "--clock", "monotonic"});
    CHECK(refused.status == 2);
    CHECK(refused.err.contains("on the clock monotonic cannot be given in a time namespace"));
    CHECK(daemon.ctl({"show", "t"}).status == 3);
    CHECK(armed_there({"arm", "t", "--in", "1h", "--clock", "monotonic"}).status == 0);
    CHECK(armed_there({"arm", "u", "--at", "@4000000000", "--clock", "boottime"}).status == 0);
    CHECK(armed_there({"arm", "v", "--at", "@4000000000"}).status == 0);
}

TEST_CASE("a program whose children alone are in a time namespace with offsets is not refused")
{
    skip_unless_root("make a time namespace");
    const Daemon daemon;
    Worker worker{[&](const Line& line) {
        const auto client = daemon.client();
        const bool is_made = ::unshare(CLONE_NEWTIME) == 0;
        line.say(is_made ? 1 : 0);
        if (!is_made)
            return;
        write_file("/proc/self/timens_offsets", "monotonic 1000 0\n");
        must(client.arm("t", {.at = now_on(Clock::monotonic) + 1h, .clock = Clock::monotonic}));
    }};
    if (worker.hear() == 0)
        skip("no time namespace can be made here");
    CHECK(worker.wait() == 0);
    CHECK(shown(daemon, "t")["timer"]["clock"] == "monotonic");
}

} // namespace
} // namespace evfd::e2e
