#include "client/report.h"
#include "tests/catch.h"
#include "tests/wire.h"

#include <string>

namespace evfd {
namespace {

protocol::Object object(Mode mode)
{
    return {.name = "db/ready"_name,
            .kind = Kind::event,
            .mode = mode,
            .owner_uid = 4'000'000'000, // Of no one.
            .group_gid = 7,
            .creator_pid = 42,
            .created_at = WallTime{nanoseconds{1'500'000'000}},
            .rights = "0640"_rights,
            .lifetime = Lifetime::permanent,
            .waits = 2,
            .is_set = {},
            .count = {},
            .large_count = {},
            .pulses = {},
            .subscriptions = {}};
}

TEST_CASE("the state of each mode is said in its own words")
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

TEST_CASE("who may not wait sees no state")
{
    CHECK(report::state(object(Mode::manual)) == "-");
}

TEST_CASE("a count beyond 63 bits is shown whole")
{
    auto shown = object(Mode::semaphore);
    shown.is_set = true;
    shown.large_count = "18446744073709551614";
    CHECK(report::state(shown) == "18446744073709551614 tokens");
}

TEST_CASE("in a pipe a list is a line an object, tab-separated, without a heading")
{
    report::Table table{false};
    CHECK(table.add(object(Mode::manual)) == "db/ready\tevent\tmanual\t-\t0640\t4000000000\n");
    CHECK(table.end().empty());
}

TEST_CASE("on a terminal a list is a table in columns under a heading")
{
    report::Table table{true};
    CHECK(table.add(object(Mode::manual)).empty());
    CHECK(table.add(object(Mode::semaphore)).empty());
    CHECK(table.end() == "NAME      KIND   MODE       STATE  RIGHTS  OWNER\n"
                         "db/ready  event  manual     -      0640    4000000000\n"
                         "db/ready  event  semaphore  -      0640    4000000000\n");
}

TEST_CASE("an empty list is nothing at all")
{
    CHECK(report::Table{true}.end().empty());
}

TEST_CASE("an object is shown with who made it and when")
{
    auto shown = object(Mode::automatic);
    shown.is_set = true;
    CHECK(report::show(shown) == "db/ready\n"
                                 "  kind      auto event\n"
                                 "  state     set\n"
                                 "  waits     2\n"
                                 "  rights    0640 of 4000000000, gid 7\n"
                                 "  lifetime  permanent\n"
                                 "  created   1970-01-01T00:00:01.5Z by pid 42\n");
}

TEST_CASE("a change is one line")
{
    protocol::Monitor::Reply news{3, Change::created, "db/ready"_name, object(Mode::manual)};
    CHECK(report::change(news) == "created\tdb/ready\tmanual\t-\n");
    protocol::Monitor::Reply gone{4, Change::deleted, "db/ready"_name, {}};
    CHECK(report::change(gone) == "deleted\tdb/ready\n");
    CHECK(report::change({5, Change::ready, {}, {}}) == "ready\n");
}

} // namespace
} // namespace evfd
