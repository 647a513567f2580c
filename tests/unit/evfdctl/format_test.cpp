#include "client/evfdctl/output/format.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/time_zone_scope.h"

#include <algorithm>
#include <string>

namespace evfd {
namespace {

protocol::Object object(Mode mode)
{
    return {.name = "db/ready"_name,
            .id = {7},
            .kind = Kind::event,
            .mode = mode,
            .owner_uid = 4'000'000'000, // No user has this uid.
            .group_gid = 7,
            .creator_pid = 42,
            .created_at = WallTime{nanoseconds{1'500'000'000}},
            .permissions = "0640"_permissions,
            .lifetime = Lifetime::permanent,
            .waits = 2,
            .is_set = {},
            .count = {},
            .large_count = {},
            .pulses = {},
            .subscribers = {},
            .timer = {}};
}

// Returns a timer on the monotonic clock. Its interval is 20 ms, and it next expires in 1.5 s.
protocol::Object timer()
{
    auto shown = object(Mode::manual);
    shown.kind = Kind::timer;
    shown.mode.reset();
    shown.is_set = false;
    shown.subscribers = 1;
    shown.timer = protocol::Timer{.clock = Clock::monotonic,
                                  .state = TimerState::armed,
                                  .moves_with_wall_clock = false,
                                  .next = nanoseconds{12'000'000'034},
                                  .left = nanoseconds{1'500'999'999},
                                  .interval = std::chrono::milliseconds{20},
                                  .expirations = 3,
                                  .first_was_past = false,
                                  .cancel_on_clock_change = false,
                                  .sets = {},
                                  .is_target_deleted = {}};
    return shown;
}

TEST_CASE("the state of each mode is printed in its own words")
{
    const auto [mode, is_set, count, expected] =
        GENERATE(table<Mode, bool, std::int64_t, std::string>({
            {Mode::manual, false, 0, "clear"},
            {Mode::manual, true, 5, "set"},
            {Mode::automatic, true, 1, "set"},
            {Mode::semaphore, false, 0, "0 tokens"},
            {Mode::semaphore, true, 1, "1 token"},
            {Mode::semaphore, true, 3, "3 tokens"},
        }));
    auto shown = object(mode);
    shown.is_set = is_set;
    shown.count = count;
    CHECK(report::state(shown) == expected);
}

TEST_CASE("an object without access to its state is printed without it")
{
    CHECK(report::state(object(Mode::manual)) == "-");
}

TEST_CASE("a count beyond 63 bits is printed in full")
{
    auto shown = object(Mode::semaphore);
    shown.is_set = true;
    shown.large_count = "18446744073709551614";
    CHECK(report::state(shown) == "18446744073709551614 tokens");
}

TEST_CASE("a list in a pipe is one tab-separated line an object without a heading")
{
    report::Table table{report::object_heading(), false};
    CHECK(table.add(report::row(object(Mode::manual))) ==
          "db/ready\tevent\tmanual\t-\t0640\t4000000000\n");
    CHECK(table.end().empty());
}

TEST_CASE("a list on a terminal is a table of columns with a heading")
{
    report::Table table{report::object_heading(), true};
    CHECK(table.add(report::row(object(Mode::manual))).empty());
    CHECK(table.add(report::row(object(Mode::semaphore))).empty());
    CHECK(table.end() == "NAME      KIND   MODE       STATE  PERMISSIONS  OWNER\n"
                         "db/ready  event  manual     -      0640         4000000000\n"
                         "db/ready  event  semaphore  -      0640         4000000000\n");
}

TEST_CASE("a long list on a terminal is printed in blocks, whose columns only become wider")
{
    report::Table table{{"NAME", "KIND"}, true};
    for (std::size_t i = 1; i < report::Table::max_block_rows; ++i)
        REQUIRE(table.add({"longer", "event"}).empty());
    const auto first = table.add({"longer", "event"});
    CHECK(first.starts_with("NAME    KIND\nlonger  event\n"));
    CHECK(static_cast<std::size_t>(std::ranges::count(first, '\n')) ==
          report::Table::max_block_rows + 1);
    CHECK(table.add({"a", "event"}).empty());
    CHECK(table.end() == "a       event\n");
    CHECK(table.add({"the longest", "event"}).empty());
    CHECK(table.add({"a", "event"}).empty());
    CHECK(table.end() == "the longest  event\na            event\n");
    CHECK(table.end().empty());
}

TEST_CASE("an empty list prints nothing")
{
    CHECK(report::Table{report::object_heading(), true}.end().empty());
}

TEST_CASE("an object is printed with its creator and its time of creation")
{
    const TimeZoneScope zone{"UTC0"};
    auto shown = object(Mode::automatic);
    shown.is_set = true;
    CHECK(report::show(shown) == "db/ready\n"
                                 "  kind         auto event\n"
                                 "  id           7\n"
                                 "  state        set\n"
                                 "  waits        2\n"
                                 "  permissions  0640 of 4000000000, gid 7\n"
                                 "  lifetime     permanent\n"
                                 "  created      1970-01-01 00:00:01 UTC by pid 42\n");
}

TEST_CASE("a set event is printed with its last setter and time, or the timer's owner")
{
    const TimeZoneScope zone{"UTC0"};
    auto shown = object(Mode::manual);
    shown.last_set = {WallTime{nanoseconds{2'500'000'000}}, 4'000'000'001, 43};
    CHECK(report::show(shown).contains(
        "  last set     1970-01-01 00:00:02 UTC by 4000000001, pid 43\n  waits"));
    shown.last_set->pid.reset();
    CHECK(report::show(shown).contains(
        "  last set     1970-01-01 00:00:02 UTC by a timer of 4000000001\n"));
}

TEST_CASE("a timer is printed with its clock, its next expiration and its count")
{
    const TimeZoneScope zone{"UTC0"};
    auto shown = timer();
    CHECK(report::show(shown) ==
          "db/ready\n"
          "  kind         timer\n"
          "  id           7\n"
          "  state        armed\n"
          "  clock        monotonic; setting the wall clock does not move it\n"
          "  next         12.000000034 on its clock, in 1.5s\n"
          "  interval     20ms\n"
          "  expired      3 times\n"
          "  subscribers  1\n"
          "  waits        2\n"
          "  permissions  0640 of 4000000000, gid 7\n"
          "  lifetime     permanent\n"
          "  created      1970-01-01 00:00:01 UTC by pid 42\n");
}

TEST_CASE("a relative realtime timer, a past first expiration and a broken link are printed")
{
    const TimeZoneScope zone{"UTC0"};
    auto shown = timer();
    auto& state = *shown.timer;
    state.clock = Clock::realtime_alarm;
    state.moves_with_wall_clock = true;
    state.interval = nanoseconds{0};
    state.expirations = 1;
    state.first_was_past = true;
    state.sets = "e"_name;
    state.is_target_deleted = true;
    const auto has = [&](std::string_view line) {
        return report::show(shown).find(line) != std::string::npos;
    };

    CHECK(has("  clock        realtime-alarm; setting the wall clock moves it\n"));
    CHECK(has("  next         1970-01-01 00:00:12 UTC, in 1.5s\n"));
    CHECK(has("  interval     none: it expires once\n"));
    CHECK(has("  expired      1 time, at once: its first expiry had passed\n"));
    CHECK(has("  sets         e, which was deleted\n"));

    state.cancel_on_clock_change = true;
    state.is_target_deleted = false;
    state.is_target_denied = true;
    CHECK(has("  sets         e, which the user who armed it may not set any more\n"));
    state.is_target_denied = false;
    CHECK(has("; setting the wall clock cancels it\n"));
    CHECK(has("  sets         e\n"));
}

TEST_CASE("the state of a timer is its expiration or the reason for none")
{
    auto shown = timer();
    const auto [left, text] = GENERATE(table<nanoseconds, std::string>({
        {nanoseconds{1'999}, "in 1us"},
        {nanoseconds{19'727'313}, "in 19.727ms"},
        {nanoseconds{59'999'999'999}, "in 59.999s"},
        {std::chrono::minutes{61} + nanoseconds{999'999'999}, "in 1h1m"},
    }));
    shown.timer->left = left;
    CHECK(report::state(shown) == text);

    shown.timer->left.reset();
    shown.timer->state = TimerState::cancelled;
    CHECK(report::state(shown) == "cancelled");
    shown.is_set.reset();
    CHECK(report::state(shown) == "-");
}

TEST_CASE("a list has a timer's clock in the place of an event's mode")
{
    report::Table table{report::object_heading(), false};
    CHECK(table.add(report::row(timer())) ==
          "db/ready\ttimer\tmonotonic\tin 1.5s\t0640\t4000000000\n");
    auto hidden = timer();
    hidden.timer.reset();
    hidden.is_set.reset();
    CHECK(table.add(report::row(hidden)) == "db/ready\ttimer\t-\t-\t0640\t4000000000\n");
}

TEST_CASE("a change is printed on one line")
{
    protocol::Monitor::Reply event{3, Change::created, "db/ready"_name, object(Mode::manual)};
    CHECK(report::change(event) == "created\tdb/ready\tmanual\t-\n");
    protocol::Monitor::Reply deletion{4, Change::deleted, "db/ready"_name, {}};
    CHECK(report::change(deletion) == "deleted\tdb/ready\n");
    CHECK(report::change({5, Change::ready, {}, {}}) == "ready\n");
}

TEST_CASE("on a terminal a change has the local time and columns that only become wider")
{
    const TimeZoneScope zone{"UTC0"};
    const WallTime now{nanoseconds{45'296'789'000'000}}; // 12:34:56.789
    report::ChangeLines lines{report::Colour::none};
    const protocol::Monitor::Reply created{1, Change::created, "db/ready"_name,
                                           object(Mode::semaphore)};
    CHECK(lines.add(created, now) == "12:34:56.789  created  db/ready  semaphore  -\n");
    CHECK(lines.add({2, Change::present, "a"_name, object(Mode::automatic)}, now) ==
          "12:34:56.789  present  a         auto       -\n");
    CHECK(lines.add({3, Change::deleted, "a"_name, {}}, now) == "12:34:56.789  deleted  a\n");
    CHECK(lines.add({4, Change::ready, {}, {}}, now) == "12:34:56.789  ready\n");
    CHECK(report::ChangeLines{report::Colour::some}.add(created, now).contains("\x1b["));
}

TEST_CASE("a change has a colour of its own and the same text")
{
    using report::Colour;
    auto set = object(Mode::manual);
    set.is_set = true;
    const protocol::Monitor::Reply event{3, Change::created, "db/ready"_name, set};
    CHECK(report::change(event, Colour::some) ==
          "\x1b[32mcreated\x1b[0m\t\x1b[1mdb/ready\x1b[0m\tmanual\t\x1b[32mset\x1b[0m\n");
    CHECK(report::change(event, Colour::none) == "created\tdb/ready\tmanual\tset\n");

    const auto begins = [&](Change change) {
        const auto line = report::change({1, change, {}, {}}, Colour::some);
        return line.substr(0, line.find('m') + 1);
    };
    CHECK(begins(Change::ready) == "\x1b[2m");
    CHECK(begins(Change::deleted) == "\x1b[31m");
    CHECK(begins(Change::resync) == "\x1b[33m");
}

} // namespace
} // namespace evfd
