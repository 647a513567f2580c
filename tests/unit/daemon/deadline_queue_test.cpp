#include "daemon/objects/deadline_queue.h"

#include "tests/support/timer_fixture.h"

#include <cerrno>
#include <deque>
#include <functional>
#include <string>

namespace evfd::daemon {
namespace {

constexpr uid_t payer = 4711;

struct DeadlineQueueFixture {
    explicit DeadlineQueueFixture(std::initializer_list<Clock> clocks = {Clock::monotonic})
    {
        for (const auto clock : clocks)
            REQUIRE(queue.prepare(clock));
    }
    // Adds a deadline. The task of the deadline appends `what` to `ran`.
    DeadlineQueue::Deadline add(nanoseconds when, std::string what, Clock clock = Clock::monotonic)
    {
        return queue.add(clock, when, payer, [this, when, clock, what] {
            CHECK(now_on(clock) >= when); // The task never runs early.
            ran += what;
        });
    }
    bool runs(const std::string& text)
    {
        return run_until(loop, [&] { return ran == text; });
    }

    EventLoop loop;
    std::function<void()> deliver = [] {};
    int clock_sets = 0;
    std::string ran;
    nanoseconds charged{0};
    DeadlineQueue queue{loop, [this] { deliver(); },
                        [this](uid_t who, nanoseconds used) {
                            CHECK(who == payer);
                            charged += used;
                        },
                        [this] { ++clock_sets; }};
};

nanoseconds soon(nanoseconds span, Clock clock = Clock::monotonic)
{
    return now_on(clock) + span;
}

TEST_CASE("deadlines run in the order of their times, whatever the order of adding")
{
    DeadlineQueueFixture fixture;
    const auto start = soon(2ms);
    const auto c = fixture.add(start + 2ms, "c");
    const auto a = fixture.add(start, "a");
    const auto d = fixture.add(start + 3ms, "d");
    const auto b = fixture.add(start + 1ms, "b");
    CHECK(fixture.runs("abcd"));
}

TEST_CASE("deadlines of one time run in the order of adding")
{
    DeadlineQueueFixture fixture;
    const auto when = soon(1ms);
    const auto a = fixture.add(when, "a");
    const auto b = fixture.add(when, "b");
    const auto c = fixture.add(when, "c");
    CHECK(fixture.runs("abc"));
}

TEST_CASE("each clock has its own deadlines, and none runs early")
{
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{Clock::monotonic, Clock::realtime, Clock::boottime};
    const auto a = fixture.add(soon(1ms), "a");
    const auto b = fixture.add(soon(5ms, Clock::realtime), "b", Clock::realtime);
    const auto c = fixture.add(soon(9ms, Clock::boottime), "c", Clock::boottime);
    CHECK(run_until(fixture.loop, [&] { return fixture.ran.size() == 3; }));
    for (const char what : {'a', 'b', 'c'})
        CHECK(fixture.ran.contains(what));
}

TEST_CASE("deadlines on alarm clocks run")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_available(clock);
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{clock};
    const auto a = fixture.add(soon(2ms, clock), "a", clock);
    CHECK(fixture.runs("a"));
}

TEST_CASE("a deadline runs once and leaves no timer armed")
{
    DeadlineQueueFixture fixture;
    const auto a = fixture.add(soon(1ms), "a");
    CHECK(fixture.runs("a"));
    wait_until(Clock::monotonic, soon(2ms));
    CHECK(*fixture.loop.run_once(0ns) == 0);
    CHECK(fixture.ran == "a");
}

TEST_CASE("a deadline in the past runs at once, even at the zero of the clock")
{
    const auto when = GENERATE(0ns, 1ns, 1s);
    DeadlineQueueFixture fixture;
    const auto a = fixture.add(when, "a");
    CHECK(fixture.runs("a"));
}

TEST_CASE("a deadline at the end of the clock does not delay others")
{
    DeadlineQueueFixture fixture;
    const auto last = fixture.add(end_of_clock, "z");
    const auto a = fixture.add(soon(1ms), "a");
    CHECK(fixture.runs("a"));
    wait_until(Clock::monotonic, soon(2ms));
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a cancelled earliest deadline leaves no wake-up")
{
    const bool is_cancelled = GENERATE(true, false);
    const bool is_last = GENERATE(true, false);
    DeadlineQueueFixture fixture;
    const auto when = soon(3ms);
    auto near = std::make_optional(fixture.add(when, "a"));
    std::deque<DeadlineQueue::Deadline> others;
    if (!is_last)
        others.push_back(fixture.add(soon(1h), "b"));

    if (is_cancelled)
        near.reset();
    wait_until(Clock::monotonic, when + 1ms);

    CHECK(*fixture.loop.run_once(0ns) == (is_cancelled ? 0 : 1));
    CHECK(fixture.ran == (is_cancelled ? "" : "a"));
}

TEST_CASE("cancelling a deadline after it ran cancels no other")
{
    DeadlineQueueFixture fixture;
    auto a = std::make_optional(fixture.add(soon(1ms), "a"));
    CHECK(fixture.runs("a"));
    const auto b = fixture.add(soon(1ms), "b");
    a.reset();
    CHECK(fixture.runs("ab"));
}

TEST_CASE("a task may cancel its own deadline and others that are due with it or later")
{
    DeadlineQueueFixture fixture{Clock::monotonic, Clock::boottime};
    std::deque<std::optional<DeadlineQueue::Deadline>> all(5);
    const auto when = soon(1ms);
    all[0].emplace(fixture.queue.add(Clock::monotonic, when, payer, [&] {
        fixture.ran += "0";
        for (const std::size_t i : {0U, 1U, 3U, 4U})
            all[i].reset();
    }));
    all[1].emplace(fixture.add(when, "1"));
    all[2].emplace(fixture.add(when, "2"));
    all[3].emplace(fixture.add(when + 1ms, "3"));
    all[4].emplace(fixture.add(soon(1h, Clock::boottime), "4", Clock::boottime));
    wait_until(Clock::monotonic, when + 2ms);
    CHECK(fixture.runs("02"));
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a task may add the next deadline, which runs in its turn")
{
    DeadlineQueueFixture fixture;
    std::optional<DeadlineQueue::Deadline> next;
    int times = 0;
    const std::function<void()> again = [&] {
        if (++times < 20)
            next.emplace(fixture.queue.add(Clock::monotonic, soon(50us), payer, again));
    };
    next.emplace(fixture.queue.add(Clock::monotonic, soon(50us), payer, again));
    CHECK(run_until(fixture.loop, [&] { return times == 20; }));
}

TEST_CASE("thousands of deadlines of one time all run, some in each iteration")
{
    constexpr int many = 5'000;
    DeadlineQueueFixture fixture;
    int ran_count = 0;
    std::deque<DeadlineQueue::Deadline> all;
    const auto when = soon(1ms);
    for (int i = 0; i < many; ++i)
        all.push_back(fixture.queue.add(Clock::monotonic, when, payer, [&] {
            ++ran_count;
            wait_until(Clock::monotonic, soon(max_due_tasks_time / 10));
        }));
    wait_until(Clock::monotonic, when);
    CHECK(*fixture.loop.run_once(0ns) == 1);
    CHECK(ran_count > 0);
    // One iteration runs only some of the due tasks, so that the loop can do other work before the
    // next task.
    CHECK(ran_count <= 10);
    while (all.size() > 100)
        all.pop_back();
    CHECK(run_until(fixture.loop, [&] { return ran_count == 100; }));
    CHECK(*fixture.loop.run_once(0ns) == 0);
}

TEST_CASE("a payer is charged for its task and for what is delivered after it")
{
    DeadlineQueueFixture fixture;
    const auto spend_a_millisecond = [] { wait_until(Clock::monotonic, soon(1ms)); };
    fixture.deliver = spend_a_millisecond;
    const auto task = fixture.queue.add(Clock::monotonic, soon(0ns), payer, spend_a_millisecond);
    CHECK(run_until(fixture.loop, [&] { return fixture.charged > 0ns; }));
    CHECK(fixture.charged >= 2ms);
}

TEST_CASE("a delivery counts as time of the tasks that are due together")
{
    DeadlineQueueFixture fixture;
    int ran_count = 0;
    fixture.deliver = [] { wait_until(Clock::monotonic, soon(max_due_tasks_time)); };
    std::deque<DeadlineQueue::Deadline> all;
    const auto when = soon(0ns);
    for (int i = 0; i < 10; ++i)
        all.push_back(fixture.queue.add(Clock::monotonic, when, payer, [&] { ++ran_count; }));
    wait_until(Clock::monotonic, when);
    CHECK(*fixture.loop.run_once(0ns) == 1);
    CHECK(ran_count == 1);
}

TEST_CASE("a clock is prepared once, and not without the capability")
{
    DeadlineQueueFixture fixture;
    CHECK(fixture.queue.prepare(Clock::monotonic));
    const auto a = fixture.add(soon(1ms), "a");
    CHECK(fixture.queue.prepare(Clock::monotonic)); // A second prepare() loses no deadline.
    CHECK(fixture.runs("a"));

    const int error = probe::in_child([] {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0)
            return -1;
        EventLoop loop;
        DeadlineQueue table{loop, [] {}, [](uid_t, nanoseconds) {}, [] {}};
        const auto prepared = table.prepare(Clock::boottime_alarm);
        return prepared ? 0 : prepared.error().error;
    });
    CHECK(error == EPERM);
}

TEST_CASE("each change of the wall clock is reported once while the clock has deadlines")
{
    // The queue detects a change of the clock in two ways: check_wall_clock() is called, or the
    // timerfd of the queue fires.
    const bool is_polled = GENERATE(false, true);
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{Clock::realtime};
    const auto check_clock = [&] {
        if (is_polled && fixture.queue.check_wall_clock())
            ++fixture.clock_sets;
        for (int i = 0; i < 5; ++i)
            REQUIRE(fixture.loop.run_once(0ns));
    };
    const auto far = fixture.add(soon(1h, Clock::realtime), "z", Clock::realtime);
    check_clock();
    CHECK(fixture.clock_sets == 0);
    wall_clock.shift(1000ns);
    check_clock();
    CHECK(fixture.clock_sets == 1);
    wall_clock.restore();
    check_clock();
    CHECK(fixture.clock_sets == 2);
    CHECK(fixture.ran.empty());
    const auto a = fixture.add(soon(1ms, Clock::realtime), "a", Clock::realtime);
    CHECK(fixture.runs("a"));
    CHECK(fixture.clock_sets == 2);
}

TEST_CASE("a change of the wall clock is reported after an earlier deadline was just added")
{
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{Clock::realtime};
    const auto far = fixture.add(soon(2h, Clock::realtime), "z", Clock::realtime);
    wall_clock.shift(1000ns);
    const auto nearer = fixture.add(soon(1h, Clock::realtime), "y", Clock::realtime);
    CHECK(run_until(fixture.loop, [&] { return fixture.clock_sets > 0; }));
    CHECK(fixture.clock_sets == 1);
}

TEST_CASE("a change of the wall clock before the first deadline is not reported")
{
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{Clock::realtime, Clock::monotonic};
    const bool had_deadline = GENERATE(false, true);
    if (had_deadline)
        (void)fixture.add(soon(1h, Clock::realtime), "x", Clock::realtime);
    const auto other = fixture.add(soon(1h), "y");
    wall_clock.shift(1000ns);

    const auto a = fixture.add(soon(1ms, Clock::realtime), "a", Clock::realtime);

    CHECK(fixture.runs("a"));
    CHECK(fixture.clock_sets == 0);
}

TEST_CASE("no timer stays armed when a change of the wall clock cancels the last deadline")
{
    // The queue detects a change of the clock in two ways: check_wall_clock() is called, or the
    // timerfd of the queue fires.
    const bool is_polled = GENERATE(false, true);
    WallClockLock wall_clock;
    EventLoop loop;
    int deliveries = 0;
    std::optional<DeadlineQueue> table;
    // A deadline must be destroyed before its queue, so it is declared after the queue.
    std::optional<DeadlineQueue::Deadline> only;
    table.emplace(loop, [&] { ++deliveries; }, [](uid_t, nanoseconds) {}, [&] { only.reset(); });
    REQUIRE(table->prepare(Clock::realtime));
    const auto when = soon(20ms, Clock::realtime);
    only.emplace(table->add(Clock::realtime, when, payer, [] {}));
    wall_clock.shift(1000ns);
    if (is_polled && table->check_wall_clock())
        only.reset();
    REQUIRE(loop.run_once(0ns));
    CHECK_FALSE(only);
    deliveries = 0;

    wait_until(Clock::realtime, when + 1ms);

    CHECK(*loop.run_once(0ns) == 0);
    CHECK(deliveries == 0);
}

TEST_CASE(
    "a deadline whose timer fired before the wall clock was set back runs when it is due again")
{
    WallClockLock wall_clock;
    DeadlineQueueFixture fixture{Clock::realtime};
    const auto when = soon(300us, Clock::realtime);
    const auto a = fixture.add(when, "a", Clock::realtime);
    wait_until(Clock::realtime, when);
    wall_clock.shift(-900us);
    // The queue notices that the clock was set back, and arms its timerfd again.
    CHECK(fixture.queue.check_wall_clock());
    CHECK(fixture.ran.empty());
    CHECK(fixture.runs("a"));
}

} // namespace
} // namespace evfd::daemon
