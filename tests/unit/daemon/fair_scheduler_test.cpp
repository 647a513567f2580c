#include "daemon/ipc/fair_scheduler.h"

#include "tests/support/service_fixture.h"

#include <algorithm>
#include <ranges>

namespace evfd::daemon {
namespace {

// A fair scheduler, and connections that each have a given number of calls. A served connection
// makes one call.
struct SchedulerFixture {
    explicit SchedulerFixture(std::int64_t calls)
    {
        auto limits = default_limits;
        limits.set(Resource::calls, calls);
        quota.set_limits({limits});
    }

    void serve(std::uint64_t connection)
    {
        served.push_back(connection);
        const auto uid = owners.at(connection);
        scheduler.charge(uid, {1, call_duration});
        if (calls_left[connection]-- > 1)
            scheduler.enqueue(uid, connection);
    }
    void enqueue(uid_t uid, std::uint64_t connection, int calls)
    {
        owners[connection] = uid;
        calls_left[connection] = calls;
        scheduler.enqueue(uid, connection);
    }
    std::vector<std::uint64_t> served_in_next_iteration()
    {
        served.clear();
        run_iterations(loop, 1);
        return served;
    }

    EventLoop loop;
    Quota quota{default_limits};
    FairScheduler scheduler{loop, quota, [this](std::uint64_t connection) { serve(connection); }};
    nanoseconds call_duration{0}; // The time that each call takes.
    std::map<std::uint64_t, uid_t> owners;
    std::map<std::uint64_t, int> calls_left;
    std::vector<std::uint64_t> served;
};

using Served = std::vector<std::uint64_t>;

TEST_CASE(
    "the connections of one user together are served up to the limit of an iteration, in order")
{
    SchedulerFixture fixture{2};
    for (const std::uint64_t connection : {1U, 2U, 3U})
        fixture.enqueue(alice, connection, 2);

    CHECK(fixture.served_in_next_iteration() == Served{1, 2});
    CHECK(fixture.served_in_next_iteration() == Served{3, 1});
    CHECK(fixture.served_in_next_iteration() == Served{2, 3});
    CHECK(fixture.served_in_next_iteration().empty());
}

TEST_CASE("a user with endless calls takes nothing from another user")
{
    SchedulerFixture fixture{2};
    fixture.enqueue(alice, 1, 100);
    fixture.enqueue(alice, 2, 100);
    fixture.enqueue(bob, 3, 1);
    CHECK(fixture.served_in_next_iteration() == Served{1, 2, 3});
}

TEST_CASE("a time budget that is used up ends the turn of its user")
{
    SchedulerFixture fixture{100};
    run_iterations(fixture.loop, 1);
    fixture.scheduler.charge(alice, {0, max_user_time});
    CHECK(fixture.scheduler.is_throttled(alice));
    CHECK_FALSE(fixture.scheduler.is_throttled(bob));

    run_iterations(fixture.loop, 1);

    // Each iteration gives the user a new budget.
    CHECK_FALSE(fixture.scheduler.is_throttled(alice));
    CHECK(fixture.scheduler.budget_for(alice).time == nanoseconds{max_user_time});
}

TEST_CASE("a user that exceeded its budget skips iterations, but not forever")
{
    SchedulerFixture fixture{100};
    run_iterations(fixture.loop, 1);
    fixture.scheduler.charge(alice, {0, 3 * max_user_time});
    for (int iteration = 0; iteration < 2; ++iteration) {
        run_iterations(fixture.loop, 1);
        CHECK(fixture.scheduler.is_throttled(alice));
    }
    run_iterations(fixture.loop, 1);
    CHECK_FALSE(fixture.scheduler.is_throttled(alice));

    fixture.scheduler.charge(alice, {0, 24h});
    run_iterations(fixture.loop, 1'000);
    CHECK_FALSE(fixture.scheduler.is_throttled(alice));
}

TEST_CASE("a debt persists while its user has more calls")
{
    SchedulerFixture fixture{100};
    run_iterations(fixture.loop, 1);
    fixture.scheduler.charge(alice, {0, 4 * max_user_time});
    fixture.enqueue(alice, 1, 1);
    int iterations = 0;
    while (fixture.served_in_next_iteration().empty() && iterations < 10)
        ++iterations;
    CHECK(iterations == 3);
}

TEST_CASE("a turn during which the daemon was stopped leaves no debt for that time")
{
    SchedulerFixture fixture{100};
    run_iterations(fixture.loop, 1);
    fixture.scheduler.charge_turn(alice, 1, 24h);
    // A debt of 24 hours would throttle the user for 1000 iterations.
    run_iterations(fixture.loop, 500);
    CHECK_FALSE(fixture.scheduler.is_throttled(alice));
}

TEST_CASE("a new user waits while other users wait")
{
    SchedulerFixture fixture{1};
    fixture.enqueue(alice, 1, 1);
    CHECK(fixture.scheduler.is_throttled(alice));
    CHECK(fixture.scheduler.is_throttled(bob));
    CHECK(fixture.served_in_next_iteration() == Served{1});
    // The user has made all calls that its limit allows in this iteration.
    CHECK(fixture.scheduler.is_throttled(alice));
    run_iterations(fixture.loop, 1);
    CHECK_FALSE(fixture.scheduler.is_throttled(alice));
}

// The number of users that wait at once. One iteration has too little time to serve all of them.
constexpr uid_t crowd_size = 300;

void enqueue_crowd(SchedulerFixture& fixture)
{
    for (uid_t user = 0; user < crowd_size; ++user)
        fixture.enqueue(10'000 + user, user, 1'000'000);
}

TEST_CASE("one iteration serves all users together no longer than its time limit")
{
    SchedulerFixture fixture{100};
    fixture.call_duration = max_contended_time;
    enqueue_crowd(fixture);
    const auto most = static_cast<std::size_t>(max_total_time / max_contended_time);
    for (int iteration = 0; iteration < 10; ++iteration)
        CHECK(fixture.served_in_next_iteration().size() == most);
}

TEST_CASE("an idle user is served in the next iteration, however many others wait")
{
    SchedulerFixture fixture{100};
    fixture.call_duration = max_contended_time;
    enqueue_crowd(fixture);
    for (uid_t served = 0; served < crowd_size;) // The loop runs until each user was served once.
        served += static_cast<uid_t>(fixture.served_in_next_iteration().size());
    // In each iteration, a user that was never served before is served first.
    for (int iteration = 0; iteration < 1'000; ++iteration) {
        const auto new_connection = crowd_size + static_cast<std::uint64_t>(iteration);
        fixture.enqueue(static_cast<uid_t>(20'000 + iteration), new_connection, 1);
        REQUIRE(fixture.served_in_next_iteration().front() == new_connection);
    }
}

TEST_CASE("users with endless calls are served equally often")
{
    SchedulerFixture fixture{100};
    fixture.call_duration = max_contended_time;
    enqueue_crowd(fixture);
    std::map<std::uint64_t, int> times;
    for (int iteration = 0; iteration < 300; ++iteration)
        for (const auto connection : fixture.served_in_next_iteration())
            ++times[connection];
    REQUIRE(times.size() == crowd_size);
    const auto [least, most] = std::ranges::minmax(times | std::views::values);
    CHECK(most - least <= 1);
}

TEST_CASE("a user that used much while nobody waited is not penalized later")
{
    SchedulerFixture fixture{100};
    for (int iteration = 0; iteration < 10'000; ++iteration) {
        run_iterations(fixture.loop, 1);
        fixture.scheduler.charge(alice, {1, max_contended_time});
    }
    fixture.call_duration = max_contended_time;
    fixture.enqueue(alice, 1, 1'000);
    fixture.enqueue(bob, 2, 1'000);
    for (int iteration = 0; iteration < 100; ++iteration)
        fixture.served_in_next_iteration();
    CHECK(fixture.calls_left[1] < 1'000 - 50);
}

TEST_CASE("users of one account have one share together")
{
    SchedulerFixture fixture{2};
    fixture.quota.set_accounts(Accounts{"alice:100000:65536\n"});
    fixture.enqueue(100'000, 1, 1);
    fixture.enqueue(100'001, 2, 1);
    fixture.enqueue(165'535, 3, 1);
    // The uid 165'536 is outside of the range of alice's subordinate uids.
    fixture.enqueue(165'536, 4, 1);
    CHECK(fixture.served_in_next_iteration() == Served{1, 2, 4});
    CHECK(fixture.served_in_next_iteration() == Served{3});
}

TEST_CASE("an empty scheduler lets the loop sleep")
{
    SchedulerFixture fixture{1};
    fixture.enqueue(alice, 1, 3);
    for (int iteration = 0; iteration < 3; ++iteration)
        CHECK(fixture.served_in_next_iteration() == Served{1});
    const auto before = monotonic_now();
    REQUIRE(fixture.loop.run_once(20ms));
    CHECK(monotonic_now() - before >= 20ms);
}

} // namespace
} // namespace evfd::daemon
