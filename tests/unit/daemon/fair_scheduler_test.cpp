#include "daemon/ipc/fair_scheduler.h"

#include "tests/support/service_fixture.h"

#include <algorithm>
#include <ranges>

namespace evfd::daemon {
namespace {

// Connections that always want more, each a call at a time.
struct Queue {
    explicit Queue(std::int64_t calls)
    {
        auto limits = default_limits;
        limits.set(Resource::calls, calls);
        quota.set_ceilings({limits});
    }

    void serve(std::uint64_t connection)
    {
        served.push_back(connection);
        const auto uid = owner.at(connection);
        turns.used(uid, {1, takes});
        if (left[connection]-- > 1)
            turns.ask(uid, connection);
    }
    void ask(uid_t uid, std::uint64_t connection, int calls)
    {
        owner[connection] = uid;
        left[connection] = calls;
        turns.ask(uid, connection);
    }
    std::vector<std::uint64_t> served_in_next_turn()
    {
        served.clear();
        settle(loop, 1);
        return served;
    }

    EventLoop loop;
    Quota quota{default_limits};
    Turns turns{loop, quota, [this](std::uint64_t connection) { serve(connection); }};
    nanoseconds takes{0}; // Each call.
    std::map<std::uint64_t, uid_t> owner;
    std::map<std::uint64_t, int> left;
    std::vector<std::uint64_t> served;
};

using Served = std::vector<std::uint64_t>;

TEST_CASE("in one turn a user's connections together are served up to the limit in their order")
{
    Queue queue{2};
    for (const std::uint64_t connection : {1U, 2U, 3U})
        queue.ask(alice, connection, 2);

    CHECK(queue.served_in_next_turn() == Served{1, 2});
    CHECK(queue.served_in_next_turn() == Served{3, 1});
    CHECK(queue.served_in_next_turn() == Served{2, 3});
    CHECK(queue.served_in_next_turn().empty());
}

TEST_CASE("who asks for more and more takes nothing from another user")
{
    Queue queue{2};
    queue.ask(alice, 1, 100);
    queue.ask(alice, 2, 100);
    queue.ask(bob, 3, 1);
    CHECK(queue.served_in_next_turn() == Served{1, 2, 3});
}

TEST_CASE("a share that was used up in time is used up")
{
    Queue queue{100};
    settle(queue.loop, 1);
    queue.turns.used(alice, {0, max_turn});
    CHECK(queue.turns.must_wait(alice));
    CHECK_FALSE(queue.turns.must_wait(bob));

    settle(queue.loop, 1);

    CHECK_FALSE(queue.turns.must_wait(alice)); // It is another turn.
    CHECK(queue.turns.share_of(alice).time == nanoseconds{max_turn});
}

TEST_CASE("who had more than its turn misses the next ones but not for ever")
{
    Queue queue{100};
    settle(queue.loop, 1);
    queue.turns.used(alice, {0, 3 * max_turn});
    for (int turn = 0; turn < 2; ++turn) {
        settle(queue.loop, 1);
        CHECK(queue.turns.must_wait(alice));
    }
    settle(queue.loop, 1);
    CHECK_FALSE(queue.turns.must_wait(alice));

    queue.turns.used(alice, {0, 24h});
    settle(queue.loop, 1'000);
    CHECK_FALSE(queue.turns.must_wait(alice));
}

TEST_CASE("a debt goes on while its user asks for more")
{
    Queue queue{100};
    settle(queue.loop, 1);
    queue.turns.used(alice, {0, 4 * max_turn});
    queue.ask(alice, 1, 1);
    int turns = 0;
    while (queue.served_in_next_turn().empty() && turns < 10)
        ++turns;
    CHECK(turns == 3);
}

TEST_CASE("who comes while others wait must wait, too")
{
    Queue queue{1};
    queue.ask(alice, 1, 1);
    CHECK(queue.turns.must_wait(alice));
    CHECK(queue.turns.must_wait(bob));
    CHECK(queue.served_in_next_turn() == Served{1});
    CHECK(queue.turns.must_wait(alice)); // All calls of this turn are used up.
    settle(queue.loop, 1);
    CHECK_FALSE(queue.turns.must_wait(alice));
}

// More users than one turn has time for, who always want more.
constexpr uid_t crowd = 300;

void ask_as_crowd(Queue& queue)
{
    for (uid_t user = 0; user < crowd; ++user)
        queue.ask(10'000 + user, user, 1'000'000);
}

TEST_CASE("one turn serves all users together no longer than its time")
{
    Queue queue{100};
    queue.takes = max_turn_beside_others;
    ask_as_crowd(queue);
    const auto most = static_cast<std::size_t>(max_turn_of_all / max_turn_beside_others);
    for (int turn = 0; turn < 10; ++turn)
        CHECK(queue.served_in_next_turn().size() == most);
}

TEST_CASE("a user who was idle is served in the next turn however many others wait")
{
    Queue queue{100};
    queue.takes = max_turn_beside_others;
    ask_as_crowd(queue);
    for (uid_t served = 0; served < crowd;) // Each has had some.
        served += static_cast<uid_t>(queue.served_in_next_turn().size());
    for (int turn = 0; turn < 1'000; ++turn) { // In each a call of somebody who had none before.
        const auto newcomer = crowd + static_cast<std::uint64_t>(turn);
        queue.ask(static_cast<uid_t>(20'000 + turn), newcomer, 1);
        REQUIRE(queue.served_in_next_turn().front() == newcomer);
    }
}

TEST_CASE("all who always want more are served as often as each other")
{
    Queue queue{100};
    queue.takes = max_turn_beside_others;
    ask_as_crowd(queue);
    std::map<std::uint64_t, int> times;
    for (int turn = 0; turn < 300; ++turn)
        for (const auto connection : queue.served_in_next_turn())
            ++times[connection];
    REQUIRE(times.size() == crowd);
    const auto [least, most] = std::ranges::minmax(times | std::views::values);
    CHECK(most - least <= 1);
}

TEST_CASE("who had much while nobody waited does not stand back for that afterwards")
{
    Queue queue{100};
    for (int turn = 0; turn < 10'000; ++turn) {
        settle(queue.loop, 1);
        queue.turns.used(alice, {1, max_turn_beside_others});
    }
    queue.takes = max_turn_beside_others;
    queue.ask(alice, 1, 1'000);
    queue.ask(bob, 2, 1'000);
    for (int turn = 0; turn < 100; ++turn)
        queue.served_in_next_turn();
    CHECK(queue.left[1] < 1'000 - 50);
}

TEST_CASE("users of one account have one share together")
{
    Queue queue{2};
    queue.quota.set_accounts(Accounts{"alice:100000:65536\n"});
    queue.ask(100'000, 1, 1);
    queue.ask(100'001, 2, 1);
    queue.ask(165'535, 3, 1);
    queue.ask(165'536, 4, 1); // Of nobody's range.
    CHECK(queue.served_in_next_turn() == Served{1, 2, 4});
    CHECK(queue.served_in_next_turn() == Served{3});
}

TEST_CASE("with nobody left to serve the loop sleeps")
{
    Queue queue{1};
    queue.ask(alice, 1, 3);
    for (int turn = 0; turn < 3; ++turn)
        CHECK(queue.served_in_next_turn() == Served{1});
    const auto before = monotonic_now();
    REQUIRE(queue.loop.run_once(20ms));
    CHECK(monotonic_now() - before >= 20ms);
}

} // namespace
} // namespace evfd::daemon
