#include "daemon/store/descriptor_budget.h"

#include "common/limits.h"
#include "tests/support/catch.h"

#include <algorithm>

namespace evfd::daemon {
namespace {

TEST_CASE(
    "the descriptor budget lets a successor inherit all objects under any limit of open files")
{
    for (std::int64_t limit = 0; limit < 5'000; ++limit) {
        CAPTURE(limit);
        const auto [objects, connections] = descriptor_budget(limit);
        REQUIRE(objects >= 0);
        REQUIRE(connections >= 0);
        // A successor receives all descriptors of one message in the stash at once. So the limit
        // of open files must leave room even for descriptors whose objects were deleted.
        const auto unwanted =
            std::min(objects, static_cast<std::int64_t>(max_descriptors_per_message));
        if (objects > 0)
            REQUIRE(objects + unwanted + reserved_daemon_fds + reserved_client_fds <= limit);
        REQUIRE(objects + connections + std::min(reserved_daemon_fds, limit) <= limit);
    }
}

TEST_CASE("objects get three in four descriptors of a large limit")
{
    CHECK(descriptor_budget(20'000).objects == 15'000);
    CHECK(descriptor_budget(524'288).objects == 393'216);
    CHECK(descriptor_budget(20'000).connections > 3'700);
}

} // namespace
} // namespace evfd::daemon
