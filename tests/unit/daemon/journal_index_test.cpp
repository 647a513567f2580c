#include "daemon/store/journal_index.h"

#include "tests/support/catch.h"

#include <map>
#include <random>
#include <utility>

namespace evfd::daemon {
namespace {

JournalLocation at(std::uint64_t offset)
{
    return {offset, 8};
}

TEST_CASE("a location keeps the largest offset and the largest size")
{
    const JournalLocation location{JournalLocation::max_offset, JournalLocation::max_size};
    CHECK(location.offset() == JournalLocation::max_offset);
    CHECK(location.size() == JournalLocation::max_size);
    CHECK(sizeof location == 8);
}

TEST_CASE("a size above the limit counts as the limit and leaves the offset alone")
{
    const JournalLocation location{8, JournalLocation::max_size + 8};
    CHECK(location.offset() == 8);
    CHECK(location.size() == JournalLocation::max_size);
}

TEST_CASE("the index has the last location of each key")
{
    JournalIndex index;
    CHECK_FALSE(index.find({1, 1}));
    CHECK_FALSE(index.set({1, 1}, at(8)));
    CHECK_FALSE(index.set({1, 2}, at(16)));  // Another kind.
    CHECK_FALSE(index.set({65, 1}, at(24))); // The same place in another block.
    CHECK(index.set({1, 1}, at(32)) == at(8));
    CHECK(index.find({1, 1}) == at(32));
    CHECK(index.find({1, 2}) == at(16));
    CHECK(index.find({65, 1}) == at(24));
    CHECK_FALSE(index.find({2, 1}));
    CHECK(index.size() == 3);

    CHECK(index.erase({1, 1}) == at(32));
    CHECK_FALSE(index.erase({1, 1}));
    CHECK_FALSE(index.find({1, 1}));
    CHECK(index.size() == 2);
}

TEST_CASE("the index accepts the highest id and the highest kind")
{
    JournalIndex index;
    const JournalKey highest{UINT64_MAX, UINT32_MAX};
    index.set(highest, at(8));
    index.for_each([&](const JournalKey& key, JournalLocation location) {
        CHECK(key == highest);
        CHECK(location == at(8));
    });
    CHECK(index.erase(highest) == at(8));
}

TEST_CASE("the index agrees with a map, whether the ids are consecutive or have large gaps")
{
    const auto gap = GENERATE(std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{1000});
    std::mt19937 generator{7}; // NOLINT(cert-msc51-cpp): each run tests the same.
    const auto below = [&](unsigned end) {
        return std::uniform_int_distribution<unsigned>{0, end - 1}(generator);
    };
    JournalIndex index;
    std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> expected;
    for (std::uint64_t offset = 8; offset < 8 * 5000; offset += 8) {
        const JournalKey key{gap * below(200), 1 + below(2)};
        const std::pair place{key.kind, key.id};
        const auto known = expected.find(place);
        const auto earlier = known == expected.end() ? std::optional<JournalLocation>{}
                                                     : std::optional{at(known->second)};
        CHECK(index.find(key) == earlier);
        if (below(2) == 0) {
            CHECK(index.set(key, at(offset)) == earlier);
            expected[place] = offset;
        } else {
            CHECK(index.erase(key) == earlier);
            expected.erase(place);
        }
        REQUIRE(index.size() == expected.size());
    }
    auto next = expected.begin();
    index.for_each([&](const JournalKey& key, JournalLocation location) {
        REQUIRE(next != expected.end());
        CHECK(std::pair{key.kind, key.id} == next->first);
        CHECK(location == at(next->second));
        ++next;
    });
    CHECK(next == expected.end());
}

} // namespace
} // namespace evfd::daemon
