#include "common/time_slice.h"

#include "tests/support/catch.h"

#include <chrono>

namespace evfd {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a slice has time left until its length is used up")
{
    CHECK(TimeSlice{1h}.left());
    CHECK(TimeSlice::unlimited().left());
    CHECK_FALSE(TimeSlice{0ns}.left());
    // A slice has a negative length if its user has overdrawn the budget.
    CHECK_FALSE(TimeSlice{-1ns}.left());
}

TEST_CASE("the used time of a slice begins with the slice")
{
    const auto before = monotonic_now();
    const TimeSlice slice{1ns};
    while (slice.left()) {
    }
    const auto used = slice.used();
    CHECK(used >= 1ns);
    CHECK(used <= monotonic_now() - before);
}

} // namespace
} // namespace evfd
