#include "daemon/objects/subscription_table.h"

#include "common/timerfd.h"
#include "tests/support/service_fixture.h"

namespace evfd::daemon {
namespace {

struct SubscribedTable {
    Token subscribe()
    {
        const auto token = *Token::make();
        fds.push_back(daemon::subscribe(table, token, make_timerfd(Clock::monotonic), quota));
        return token;
    }
    Result<void> set_all(nanoseconds first)
    {
        return table.for_each([&](const UniqueFd& fd) { return set(fd, {.first = first}); });
    }
    Quota quota{default_limits};
    SubscriptionTable table;
    std::vector<UniqueFd> fds; // The descriptors of the subscribers.
};

TEST_CASE("a change of the subscribers reaches each of their holders")
{
    SubscribedTable fixture;
    for (int i = 0; i < 3; ++i)
        fixture.subscribe();
    CHECK(fixture.table.size() == 3);

    REQUIRE(fixture.set_all(nanoseconds::max()));

    for (const auto& fd : fixture.fds)
        CHECK(*time_left(fd) > 0ns);
}

TEST_CASE("an unsubscribed holder is left alone, keeps its descriptor and returns its charge")
{
    SubscribedTable fixture;
    const auto removed = fixture.subscribe();
    const auto stays = fixture.subscribe();
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 2);

    CHECK(fixture.table.remove(removed));

    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 1);
    CHECK_FALSE(fixture.table.has(removed));
    CHECK(fixture.table.has(stays));
    CHECK_FALSE(fixture.table.remove(removed));
    REQUIRE(fixture.set_all(nanoseconds::max()));
    CHECK(time_left(fixture.fds[0]) == 0ns);
    CHECK(*time_left(fixture.fds[1]) > 0ns);
}

TEST_CASE("a round over the subscribers visits all and returns the first failure")
{
    SubscribedTable fixture;
    for (int i = 0; i < 3; ++i)
        fixture.subscribe();
    int calls = 0;

    const auto done = fixture.table.for_each([&](const UniqueFd&) -> Result<void> {
        if (++calls == 1)
            return {};
        return std::unexpected(Fault{"a test", calls == 2 ? EIO : EPERM});
    });

    REQUIRE_FALSE(done);
    CHECK(done.error().error == EIO);
    CHECK(calls == 3);
}

TEST_CASE("a holder that closes its descriptor disturbs no other")
{
    SubscribedTable fixture;
    fixture.subscribe();
    fixture.subscribe();
    fixture.fds.erase(fixture.fds.begin());
    REQUIRE(fixture.set_all(nanoseconds::max()));
    CHECK(*time_left(fixture.fds[0]) > 0ns);
}

TEST_CASE("a destroyed table returns all charges")
{
    Quota quota{default_limits};
    {
        SubscriptionTable subscriptions;
        daemon::subscribe(subscriptions, *Token::make(), make_timerfd(Clock::monotonic), quota);
        CHECK(quota.used(alice, Resource::subscriptions) == 1);
    }
    CHECK(quota.used(alice, Resource::subscriptions) == 0);
}

} // namespace
} // namespace evfd::daemon
