#include "daemon/objects/deadline_queue.h"

#include "tests/support/timer_fixture.h"

#include <cerrno>
#include <deque>
#include <string>

namespace evfd::daemon {
namespace {

struct Day {
    explicit Day(std::initializer_list<Clock> clocks = {Clock::monotonic})
    {
        for (const auto clock : clocks)
            REQUIRE(table.prepare(clock));
    }
    // One that says what it is called when it comes.
    Timetable::Appointment add(nanoseconds when, std::string what, Clock clock = Clock::monotonic)
    {
        return table.add(clock, when, [this, when, clock, what] {
            CHECK(now_on(clock) >= when); // Never early.
            told += what;
        });
    }
    bool comes_to(const std::string& text)
    {
        return turn_until(loop, [&] { return told == text; });
    }

    EventLoop loop;
    int rings = 0;
    int clock_sets = 0;
    std::string told;
    Timetable table{loop, [this] { ++rings; }, [this] { ++clock_sets; }};
};

nanoseconds soon(nanoseconds span, Clock clock = Clock::monotonic)
{
    return now_on(clock) + span;
}

TEST_CASE("appointments come in the order of their times, whatever the order they were made in")
{
    Day day;
    const auto start = soon(2ms);
    const auto c = day.add(start + 2ms, "c");
    const auto a = day.add(start, "a");
    const auto d = day.add(start + 3ms, "d");
    const auto b = day.add(start + 1ms, "b");
    CHECK(day.comes_to("abcd"));
}

TEST_CASE("appointments for the same moment come in the order they were made in")
{
    Day day;
    const auto when = soon(1ms);
    const auto a = day.add(when, "a");
    const auto b = day.add(when, "b");
    const auto c = day.add(when, "c");
    CHECK(day.comes_to("abc"));
}

TEST_CASE("each clock has its own appointments, and none is early")
{
    WallClock wall_clock;
    Day day{Clock::monotonic, Clock::realtime, Clock::boottime};
    const auto a = day.add(soon(1ms), "a");
    const auto b = day.add(soon(5ms, Clock::realtime), "b", Clock::realtime);
    const auto c = day.add(soon(9ms, Clock::boottime), "c", Clock::boottime);
    CHECK(turn_until(day.loop, [&] { return day.told.size() == 3; }));
    for (const char what : {'a', 'b', 'c'})
        CHECK(day.told.contains(what));
}

TEST_CASE("the alarm clocks ring as well")
{
    const auto clock = GENERATE(Clock::realtime_alarm, Clock::boottime_alarm);
    skip_unless_we_have(clock);
    WallClock wall_clock;
    Day day{clock};
    const auto a = day.add(soon(2ms, clock), "a", clock);
    CHECK(day.comes_to("a"));
}

TEST_CASE("an appointment comes once, and then nothing rings")
{
    Day day;
    const auto a = day.add(soon(1ms), "a");
    CHECK(day.comes_to("a"));
    wait_until(Clock::monotonic, soon(2ms));
    CHECK(*day.loop.run_once(0ns) == 0);
    CHECK(day.told == "a");
}

TEST_CASE("an appointment in the past comes at once, be it at the clock's zero")
{
    const auto when = GENERATE(0ns, 1ns, 1s);
    Day day;
    const auto a = day.add(when, "a");
    CHECK(day.comes_to("a"));
}

TEST_CASE("an appointment at the end of the clock keeps no other from coming")
{
    Day day;
    const auto last = day.add(end_of_clock, "z");
    const auto a = day.add(soon(1ms), "a");
    CHECK(day.comes_to("a"));
    wait_until(Clock::monotonic, soon(2ms));
    CHECK(*day.loop.run_once(0ns) == 0);
}

TEST_CASE("an earliest appointment that goes leaves no wake-up")
{
    const bool goes = GENERATE(true, false);
    const bool is_only_one = GENERATE(true, false);
    Day day;
    const auto when = soon(3ms);
    auto near = std::make_optional(day.add(when, "a"));
    std::deque<Timetable::Appointment> others;
    if (!is_only_one)
        others.push_back(day.add(soon(1h), "b"));

    if (goes)
        near.reset();
    wait_until(Clock::monotonic, when + 1ms);

    CHECK(*day.loop.run_once(0ns) == (goes ? 0 : 1));
    CHECK(day.told == (goes ? "" : "a"));
}

TEST_CASE("an appointment that goes after it came takes no other with it")
{
    Day day;
    auto a = std::make_optional(day.add(soon(1ms), "a"));
    CHECK(day.comes_to("a"));
    const auto b = day.add(soon(1ms), "b");
    a.reset();
    CHECK(day.comes_to("ab"));
}

TEST_CASE("a task may end its own appointment and others that are due with it or later")
{
    Day day{Clock::monotonic, Clock::boottime};
    std::deque<std::optional<Timetable::Appointment>> all(5);
    const auto when = soon(1ms);
    all[0].emplace(day.table.add(Clock::monotonic, when, [&] {
        day.told += "0";
        for (const std::size_t i : {0U, 1U, 3U, 4U})
            all[i].reset();
    }));
    all[1].emplace(day.add(when, "1"));
    all[2].emplace(day.add(when, "2"));
    all[3].emplace(day.add(when + 1ms, "3"));
    all[4].emplace(day.add(soon(1h, Clock::boottime), "4", Clock::boottime));
    wait_until(Clock::monotonic, when + 2ms);
    CHECK(day.comes_to("02"));
    CHECK(*day.loop.run_once(0ns) == 0);
}

TEST_CASE("a task may make the next appointment, and it comes in its turn")
{
    Day day;
    std::optional<Timetable::Appointment> next;
    int times = 0;
    const std::function<void()> again = [&] {
        if (++times < 20)
            next.emplace(day.table.add(Clock::monotonic, soon(50us), again));
    };
    next.emplace(day.table.add(Clock::monotonic, soon(50us), again));
    CHECK(turn_until(day.loop, [&] { return times == 20; }));
}

TEST_CASE("of thousands of appointments for one moment all come, some in each turn")
{
    constexpr int many = 5'000;
    Day day;
    int came = 0;
    std::deque<Timetable::Appointment> all;
    const auto when = soon(1ms);
    for (int i = 0; i < many; ++i)
        all.push_back(day.table.add(Clock::monotonic, when, [&] {
            ++came;
            wait_until(Clock::monotonic, soon(Timetable::max_turn / 10));
        }));
    wait_until(Clock::monotonic, when);
    CHECK(*day.loop.run_once(0ns) == 1);
    CHECK(came > 0);
    CHECK(came <= 10); // Then it is the others' turn.
    while (all.size() > 100)
        all.pop_back();
    CHECK(turn_until(day.loop, [&] { return came == 100; }));
    CHECK(*day.loop.run_once(0ns) == 0);
}

TEST_CASE("a clock is prepared once, and for want of the capability not at all")
{
    Day day;
    CHECK(day.table.prepare(Clock::monotonic));
    const auto a = day.add(soon(1ms), "a");
    CHECK(day.table.prepare(Clock::monotonic)); // Nothing is lost by it.
    CHECK(day.comes_to("a"));

    const int error = probe::in_child([] {
        if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0)
            return -1;
        EventLoop loop;
        Timetable table{loop, [] {}, [] {}};
        const auto prepared = table.prepare(Clock::boottime_alarm);
        return prepared ? 0 : prepared.error().error;
    });
    CHECK(error == EPERM);
}

TEST_CASE("that the wall clock was set is told while there are appointments on it, once each time")
{
    const bool is_looked_for = GENERATE(false, true); // Or rings.
    WallClock wall_clock;
    Day day{Clock::realtime};
    const auto look = [&] {
        if (is_looked_for)
            day.table.look_at_wall_clock();
        for (int i = 0; i < 5; ++i)
            REQUIRE(day.loop.run_once(0ns));
    };
    const auto far = day.add(soon(1h, Clock::realtime), "z", Clock::realtime);
    look();
    CHECK(day.clock_sets == 0);
    wall_clock.shift(1000ns);
    look();
    CHECK(day.clock_sets == 1);
    wall_clock.set_back();
    look();
    CHECK(day.clock_sets == 2);
    CHECK(day.told.empty());
    const auto a = day.add(soon(1ms, Clock::realtime), "a", Clock::realtime);
    CHECK(day.comes_to("a"));
    CHECK(day.clock_sets == 2);
}

TEST_CASE("that the wall clock was set is told where an earlier appointment was just made")
{
    WallClock wall_clock;
    Day day{Clock::realtime};
    const auto far = day.add(soon(2h, Clock::realtime), "z", Clock::realtime);
    wall_clock.shift(1000ns);
    const auto nearer = day.add(soon(1h, Clock::realtime), "y", Clock::realtime);
    CHECK(turn_until(day.loop, [&] { return day.clock_sets > 0; }));
    CHECK(day.clock_sets == 1);
}

TEST_CASE("that the wall clock was set before there were appointments on it is not told")
{
    WallClock wall_clock;
    Day day{Clock::realtime, Clock::monotonic};
    const bool had_some = GENERATE(false, true);
    if (had_some)
        (void)day.add(soon(1h, Clock::realtime), "x", Clock::realtime);
    const auto other = day.add(soon(1h), "y");
    wall_clock.shift(1000ns);

    const auto a = day.add(soon(1ms, Clock::realtime), "a", Clock::realtime);

    CHECK(day.comes_to("a"));
    CHECK(day.clock_sets == 0);
}

TEST_CASE("when the last appointment goes because the wall clock was set nothing rings any more")
{
    const bool is_looked_for = GENERATE(false, true); // Or rings.
    WallClock wall_clock;
    EventLoop loop;
    int rings = 0;
    std::optional<Timetable> table;
    std::optional<Timetable::Appointment> only; // After the table: it must go first.
    table.emplace(loop, [&] { ++rings; }, [&] { only.reset(); });
    REQUIRE(table->prepare(Clock::realtime));
    const auto when = soon(20ms, Clock::realtime);
    only.emplace(table->add(Clock::realtime, when, [] {}));
    wall_clock.shift(1000ns);
    if (is_looked_for)
        table->look_at_wall_clock();
    REQUIRE(loop.run_once(0ns));
    CHECK_FALSE(only);
    rings = 0;

    wait_until(Clock::realtime, when + 1ms);

    CHECK(*loop.run_once(0ns) == 0);
    CHECK(rings == 0);
}

TEST_CASE("an appointment that rang when the wall clock is set back comes when it is due again")
{
    WallClock wall_clock;
    Day day{Clock::realtime};
    const auto when = soon(300us, Clock::realtime);
    const auto a = day.add(when, "a", Clock::realtime);
    wait_until(Clock::realtime, when);
    wall_clock.shift(-900us);
    day.table.look_at_wall_clock(); // Here it hears of that, and the ring is gone.
    CHECK(day.told.empty());
    CHECK(day.comes_to("a"));
}

} // namespace
} // namespace evfd::daemon
