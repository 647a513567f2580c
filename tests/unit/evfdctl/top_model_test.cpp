#include "client/evfdctl/top/model.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/sample_objects.h"

#include <string>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace top;

const Now now{MonotonicTime{1000s}, WallTime{nanoseconds{5000s}}};

Now after(nanoseconds span)
{
    return {now.monotonic + span, now.wall + span};
}

std::vector<std::string> names(const Table& table, std::string_view part = "", Order order = {})
{
    std::vector<std::string> all;
    for (const auto* row : table.rows(part, order))
        all.emplace_back(row->object.name.text());
    return all;
}

using Names = std::vector<std::string>;

TEST_CASE("the initial state of a monitor is in the table once it is complete")
{
    Table table;
    table.apply(monitor_reply(Change::present, event("b"_name)), now);
    table.apply(monitor_reply(Change::present, event("a"_name)), now);
    CHECK_FALSE(table.is_complete());
    CHECK(table.size() == 0);
    table.apply({3, Change::ready, {}, {}}, now);
    CHECK(table.is_complete());
    CHECK(names(table) == Names{"a", "b"});
}

TEST_CASE("the table follows creations, changes and deletions")
{
    auto table = table_of({event("a"_name), event("b"_name)});
    table.apply(monitor_reply(Change::created, event("c"_name)), now);
    auto changed = event("a"_name);
    changed.is_set = true;
    table.apply(monitor_reply(Change::changed, changed), now);
    table.apply({6, Change::deleted, "b"_name, {}}, now);
    CHECK(names(table) == Names{"a", "c"});
    CHECK(table.rows("a", {}).front()->cell(Column::state, now) == "set");
}

TEST_CASE("a resync replaces the table only once it is complete")
{
    auto table = table_of({event("a"_name), event("b"_name)});
    const bool is_resync = GENERATE(true, false);
    if (is_resync)
        table.apply({4, Change::resync, {}, {}}, now);
    else
        table.restart();
    table.apply(monitor_reply(Change::present, event("c"_name)), now);
    CHECK(names(table) == Names{"a", "b"});
    table.apply({6, Change::ready, {}, {}}, now);
    CHECK(names(table) == Names{"c"});
}

TEST_CASE("a table with the most rows follows their changes and leaves further objects out")
{
    const auto nth = [](std::size_t i) { return *Name::parse("n/" + std::to_string(i)); };
    Table table;
    for (std::size_t i = 0; i < Table::max_rows; ++i)
        table.apply(monitor_reply(Change::present, event(nth(i))), now);
    CHECK_FALSE(table.is_complete());
    const bool is_exact = GENERATE(true, false);
    if (is_exact)
        table.apply({3, Change::ready, {}, {}}, now);
    else
        table.apply(monitor_reply(Change::present, event("z"_name)), now);
    CHECK(table.is_complete());
    CHECK(table.size() == Table::max_rows);
    CHECK(table.is_truncated() == !is_exact);

    auto changed = event(nth(0));
    changed.is_set = true;
    table.apply(monitor_reply(Change::changed, changed), now);
    CHECK(table.rows("n/0", {}).front()->cell(Column::state, now) == "set");
    table.apply(monitor_reply(Change::created, event("zz"_name)), now);
    CHECK(table.is_truncated());
    CHECK(names(table, "z").empty());
    table.apply({6, Change::deleted, nth(1), {}}, now);
    table.apply(monitor_reply(Change::created, event("zz"_name)), now);
    CHECK(names(table, "z") == Names{"zz"});

    table.restart();
    table.apply({7, Change::ready, {}, {}}, now);
    CHECK(table.size() == 0);
    CHECK_FALSE(table.is_truncated());
}

TEST_CASE("a filter finds a part of a name anywhere and in any case")
{
    const auto table = table_of({event("db/Ready"_name), event("db/done"_name), event("x"_name)});
    CHECK(names(table, "rea") == Names{"db/Ready"});
    CHECK(names(table, "DB/") == Names{"db/Ready", "db/done"});
    CHECK(names(table, "db/x").empty());
    CHECK(names(table, "").size() == 3);
}

TEST_CASE("each column has an order, with ties by name, and can be reversed")
{
    auto waited = event("w"_name);
    waited.waits = 3;
    auto set = event("s"_name);
    set.is_set = true;
    set.last_set = protocol::LastSet{now.wall - 1s, 0, {}};
    auto early = event("e"_name);
    early.last_set = protocol::LastSet{now.wall - 1min, 0, 7};
    auto subscribed = event("p"_name);
    subscribed.mode = Mode::pulse;
    subscribed.subscribers = 2;
    const auto filled =
        table_of({waited, set, early, subscribed, timer("t"_name, 1min), timer("u"_name, 1s)});
    const auto [column, first] = GENERATE(table<Column, Names>({
        {Column::name, {"e", "p", "s", "t", "u", "w"}},
        {Column::kind, {"e", "p", "s", "w", "t", "u"}},
        {Column::mode, {"e", "s", "w", "t", "u", "p"}},
        {Column::state, {"s", "p", "t", "u", "e", "w"}},
        {Column::waits, {"w", "e", "p", "s", "t", "u"}},
        {Column::subscribers, {"p", "t", "u", "e", "s", "w"}},
        {Column::last_set, {"s", "e", "p", "t", "u", "w"}},
        {Column::next, {"u", "t", "e", "p", "s", "w"}},
    }));
    CHECK(names(filled, "", {column, false}) == first);
    if (column == Column::name) {
        CHECK(names(filled, "", {column, true}) == Names{"w", "u", "t", "s", "p", "e"});
    } else if (column == Column::waits) {
        CHECK(names(filled, "", {column, true}) == Names{"e", "p", "s", "t", "u", "w"});
    }
}

TEST_CASE("a duration is printed as exactly as it is refreshed, with the time of its next change")
{
    auto set = event("e"_name);
    set.last_set = protocol::LastSet{now.wall, 4'000'000'000, 42};
    const auto filled = table_of({set});
    const auto* const row = filled.rows("", {}).front();
    const auto [passed, reads, then] = GENERATE(table<nanoseconds, std::string, nanoseconds>({
        {0s, "0s", 1s},
        {1500ms, "1s", 500ms},
        {59s, "59s", 1s},
        {61s, "1m", 59s},
        {59min, "59m", 1min},
        {90min, "1h", 30min},
        {50h, "2d", 1h},
        {-5s, "0s", 1s}, // The clock of the daemon's machine is ahead of the local clock.
    }));
    CHECK(row->cell(Column::last_set, after(passed)) == reads + " ago by 4000000000 42");
    CHECK(row->next_change(after(passed)) == after(passed).monotonic + then);
}

TEST_CASE("the time to an expiration counts down locally and stays at its end")
{
    const auto filled = table_of({timer("t"_name, 90s)});
    const auto* const row = filled.rows("", {}).front();
    CHECK(row->cell(Column::next, now) == "1m");
    CHECK(row->next_change(now) == now.monotonic + 30s + 1ns);
    CHECK(row->cell(Column::next, after(30s + 1ns)) == "59s");
    CHECK(row->cell(Column::next, after(89s)) == "1s");
    CHECK(row->cell(Column::next, after(89s + 1ns)) == "<1s");
    CHECK_FALSE(row->next_change(after(89s + 1ns)));
    CHECK(row->cell(Column::next, after(2h)) == "<1s");
}

TEST_CASE("a cell shows the owner of the timer that set an event, and a dash for an unknown value")
{
    auto set = event("e"_name);
    set.last_set = protocol::LastSet{now.wall, 4'000'000'000, {}};
    const auto table = table_of({set, event("f"_name), timer("t"_name, {})});
    const auto rows = table.rows("", {});
    CHECK(rows[0]->cell(Column::last_set, now) == "0s ago by 4000000000 timer");
    CHECK(rows[1]->cell(Column::last_set, now) == "-");
    CHECK(rows[1]->cell(Column::subscribers, now) == "-");
    CHECK(rows[1]->cell(Column::next, now) == "-");
    CHECK_FALSE(rows[1]->next_change(now));
    CHECK(rows[2]->cell(Column::mode, now) == "monotonic");
    CHECK(rows[2]->cell(Column::state, now) == "expired");
    CHECK(rows[2]->cell(Column::next, now) == "-");
}

} // namespace
} // namespace evfd
