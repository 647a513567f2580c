#include "daemon/objects/schedule.h"

#include "tests/support/catch.h"

namespace evfd::daemon {
namespace {

using namespace std::chrono_literals;

constexpr auto end = nanoseconds::max();

Schedule schedule(nanoseconds first, nanoseconds interval)
{
    return {Clock::monotonic, first, interval};
}

TEST_CASE("expirations of a schedule are counted from the exact nanosecond of each")
{
    const auto [first, interval, now, expirations] =
        GENERATE(table<nanoseconds, nanoseconds, nanoseconds, std::int64_t>({
            {10ns, 0ns, 0ns, 0},
            {10ns, 0ns, 9ns, 0},
            {10ns, 0ns, 10ns, 1},
            {10ns, 0ns, end, 1},
            {10ns, 3ns, 9ns, 0},
            {10ns, 3ns, 10ns, 1},
            {10ns, 3ns, 12ns, 1},
            {10ns, 3ns, 13ns, 2},
            {10ns, 3ns, 16ns, 3},
            {1ns, 1ns, 0ns, 0},
            {1ns, 1ns, end, end.count()},
            {end, 0ns, end - 1ns, 0},
            {end, 0ns, end, 1},
            {end, end, end, 1},
            {1ns, end, end, 1},
            {1ns, end - 1ns, end, 2},
        }));
    INFO(first.count() << " every " << interval.count() << " at " << now.count());
    CHECK(schedule(first, interval).expirations_by(now) == expirations);
}

TEST_CASE("an expiration follows the grid up to the last one before the end of the clock")
{
    const auto [first, interval, index, expiration] =
        GENERATE(table<nanoseconds, nanoseconds, std::int64_t, std::optional<nanoseconds>>({
            {10ns, 0ns, 0, 10ns},
            {10ns, 0ns, 1, std::nullopt},
            {10ns, 3ns, 0, 10ns},
            {10ns, 3ns, 4, 22ns},
            {1ns, 1ns, end.count() - 1, end},
            {1ns, 1ns, end.count(), std::nullopt},
            {end, 0ns, 0, end},
            {end, 1ns, 0, end},
            {end, 1ns, 1, std::nullopt},
            {1ns, end, 1, std::nullopt},
            {1ns, end - 1ns, 1, end},
            {1ns, 1h, end.count(), std::nullopt},
        }));
    INFO(first.count() << " every " << interval.count() << ", index " << index);
    CHECK(schedule(first, interval).expiration(index) == expiration);
}

TEST_CASE("the next expiration is after now, never now itself")
{
    CHECK(schedule(10ns, 3ns).next_after(0ns) == 10ns);
    CHECK(schedule(10ns, 3ns).next_after(9ns) == 10ns);
    CHECK(schedule(10ns, 3ns).next_after(10ns) == 13ns);
    CHECK(schedule(10ns, 3ns).next_after(14ns) == 16ns);
    CHECK(schedule(10ns, 0ns).next_after(9ns) == 10ns);
    CHECK_FALSE(schedule(10ns, 0ns).next_after(10ns));
    CHECK_FALSE(schedule(10ns, 3ns).next_after(end));
    CHECK(schedule(end, 3ns).next_after(end - 1ns) == end);
    CHECK_FALSE(schedule(end, 3ns).next_after(end));
}

TEST_CASE("the number of expirations by each expiration equals its index plus one")
{
    const auto interval = GENERATE(1ns, 7ns, 1'000'003ns, 1h);
    const auto grid = schedule(12'345ns, interval);
    for (const std::int64_t index : {0L, 1L, 2L, 999L, 2'000'000L}) {
        INFO(index);
        const auto expiration = grid.expiration(index);
        REQUIRE(expiration);
        CHECK(grid.expirations_by(*expiration) == index + 1);
        CHECK(grid.expirations_by(*expiration - 1ns) == index);
    }
}

} // namespace
} // namespace evfd::daemon
