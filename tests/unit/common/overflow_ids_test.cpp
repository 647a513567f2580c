#include "common/overflow_ids.h"

#include "tests/support/catch.h"

#include <string>

namespace evfd {
namespace {

TEST_CASE("a map covers all ids only if its ranges add up to the whole id space")
{
    const auto [map, is_whole] = GENERATE(table<std::string, bool>({
        {"         0          0 4294967295\n", true},
        {"0 100000 65536\n65536 0 4294901759\n", true},
        {"         0       1000          1\n", false},
        {"0 100000 65536\n", false},
        {"0 0 4294967294\n", false},
        {"", false},
        {"nonsense", false},
    }));
    CAPTURE(map);
    CHECK(maps_all_ids(map) == is_whole);
}

TEST_CASE("an overflow id counts as unmapped only where some ids are not mapped")
{
    const Peer peer{65534, 65534, 1, {5, 65534, 7}};
    const auto all_mapped = mark_unmapped_ids(peer, {});
    CHECK(all_mapped.is_user_mapped);
    CHECK(all_mapped.is_group_mapped);
    CHECK(all_mapped.groups == peer.groups);

    const auto none = mark_unmapped_ids(peer, {.uid = 65534, .gid = 65534});
    CHECK_FALSE(none.is_user_mapped);
    CHECK_FALSE(none.is_group_mapped);
    CHECK(none.groups == std::vector<gid_t>{5, 7});

    const auto other = mark_unmapped_ids({1000, 1000, 1, {5}}, {.uid = 65534, .gid = 65534});
    CHECK(other.is_user_mapped);
    CHECK(other.is_group_mapped);
    CHECK(other.groups == std::vector<gid_t>{5});
}

} // namespace
} // namespace evfd
