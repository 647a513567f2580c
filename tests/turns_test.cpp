#include "daemon/turns.h"

#include "tests/daemon_fixture.h"

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
        --turns.share_of(uid).calls;
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
    queue.turns.share_of(alice).time = 0ns;
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
    queue.turns.share_of(alice).time = -2 * nanoseconds{max_turn};
    for (int turn = 0; turn < 2; ++turn) {
        settle(queue.loop, 1);
        CHECK(queue.turns.must_wait(alice));
    }
    settle(queue.loop, 1);
    CHECK_FALSE(queue.turns.must_wait(alice));

    queue.turns.share_of(alice).time = -24h;
    settle(queue.loop, 1'000);
    CHECK_FALSE(queue.turns.must_wait(alice));
}

TEST_CASE("a debt goes on while its user asks for more")
{
    Queue queue{100};
    settle(queue.loop, 1);
    queue.turns.share_of(alice).time = -3 * nanoseconds{max_turn};
    queue.ask(alice, 1, 1);
    int turns = 0;
    while (queue.served_in_next_turn().empty() && turns < 10)
        ++turns;
    CHECK(turns == 3);
}

TEST_CASE("who comes while others of the same user wait must wait behind them")
{
    Queue queue{1};
    queue.ask(alice, 1, 1);
    CHECK(queue.turns.must_wait(alice));
    CHECK_FALSE(queue.turns.must_wait(bob));
    CHECK(queue.served_in_next_turn() == Served{1});
    CHECK(queue.turns.must_wait(alice)); // All calls of this turn are used up.
    settle(queue.loop, 1);
    CHECK_FALSE(queue.turns.must_wait(alice));
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
