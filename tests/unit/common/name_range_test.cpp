#include "common/name_range.h"

#include "common/limits.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd {
namespace {

TEST_CASE("a range has the names that begin with its prefix")
{
    const auto [prefix, name, contains] = GENERATE(table<std::string, std::string, bool>({
        {"", "a", true},
        {"", "db/ready", true},
        {"db", "db", true},
        {"db", "db/ready", true},
        {"db", "dba", true},
        {"db", "d", false},
        {"db", "da", false},
        {"db", "dc", false},
        {"db/", "db", false},
        {"db/", "db/ready", true},
        {"db/z", "db/zz", true},
        {"db/z", "dba", false},
        {"d b", "db", false},
    }));
    INFO(prefix << " and " << name);

    CHECK(NameRange::beginning_with(prefix).contains(*Name::parse(name)) == contains);
    CHECK(NameRange{}.contains(*Name::parse(name)));
    CHECK(NameRange::only(prefix).contains(*Name::parse(name)) == (prefix == name));
}

TEST_CASE("the join of two ranges begins with what both prefixes begin with")
{
    const auto [one, other, joined] = GENERATE(table<NameRange, NameRange, NameRange>({
        {NameRange::beginning_with("db/a"), NameRange::beginning_with("db/b"),
         NameRange::beginning_with("db/")},
        {NameRange::beginning_with("db"), NameRange::beginning_with("db/b"),
         NameRange::beginning_with("db")},
        {NameRange::beginning_with("a"), NameRange::beginning_with("b"), {}},
        {NameRange::beginning_with("a"), {}, {}},
        {NameRange::only("a"), NameRange::only("a"), NameRange::only("a")},
        {NameRange::only("a"), NameRange::beginning_with("a"), NameRange::beginning_with("a")},
        {NameRange::only("ab"), NameRange::only("ac"), NameRange::beginning_with("a")},
    }));

    CHECK(one.joined(other) == joined);
    CHECK(other.joined(one) == joined);
}

} // namespace
} // namespace evfd
