#include "daemon/objects/subscription_table.h"

#include "common/timerfd.h"
#include "tests/support/service_fixture.h"

namespace evfd::daemon {
namespace {

struct Followed {
    Token follow()
    {
        const auto token = *Token::make();
        fds.push_back(daemon::follow(followers, token, make_timerfd(Clock::monotonic), quota));
        return token;
    }
    Result<void> set_all(nanoseconds first)
    {
        return followers.for_each([&](const UniqueFd& fd) { return set(fd, {.first = first}); });
    }
    Quota quota{default_limits};
    Followers followers;
    std::vector<UniqueFd> fds; // What their holders have.
};

TEST_CASE("what is done to the followers reaches each of their holders")
{
    Followed followed;
    for (int i = 0; i < 3; ++i)
        followed.follow();
    CHECK(followed.followers.size() == 3);

    REQUIRE(followed.set_all(nanoseconds::max()));

    for (const auto& fd : followed.fds)
        CHECK(*time_left(fd) > 0ns);
}

TEST_CASE("who follows no more is left alone, keeps its descriptor and gives its charge back")
{
    Followed followed;
    const auto gone = followed.follow();
    const auto stays = followed.follow();
    CHECK(followed.quota.used(alice, Resource::subscriptions) == 2);

    CHECK(followed.followers.remove(gone));

    CHECK(followed.quota.used(alice, Resource::subscriptions) == 1);
    CHECK_FALSE(followed.followers.has(gone));
    CHECK(followed.followers.has(stays));
    CHECK_FALSE(followed.followers.remove(gone));
    REQUIRE(followed.set_all(nanoseconds::max()));
    CHECK(time_left(followed.fds[0]) == 0ns);
    CHECK(*time_left(followed.fds[1]) > 0ns);
}

TEST_CASE("the first failure is what a round returns, and all have their turn")
{
    Followed followed;
    for (int i = 0; i < 3; ++i)
        followed.follow();
    int calls = 0;

    const auto done = followed.followers.for_each([&](const UniqueFd&) -> Result<void> {
        if (++calls == 1)
            return {};
        return std::unexpected(Fault{"a test", calls == 2 ? EIO : EPERM});
    });

    REQUIRE_FALSE(done);
    CHECK(done.error().error == EIO);
    CHECK(calls == 3);
}

TEST_CASE("a holder who closes its descriptor disturbs nobody")
{
    Followed followed;
    followed.follow();
    followed.follow();
    followed.fds.erase(followed.fds.begin());
    REQUIRE(followed.set_all(nanoseconds::max()));
    CHECK(*time_left(followed.fds[0]) > 0ns);
}

TEST_CASE("followers that are gone give all charges back")
{
    Quota quota{default_limits};
    {
        Followers followers;
        daemon::follow(followers, *Token::make(), make_timerfd(Clock::monotonic), quota);
        CHECK(quota.used(alice, Resource::subscriptions) == 1);
    }
    CHECK(quota.used(alice, Resource::subscriptions) == 0);
}

} // namespace
} // namespace evfd::daemon
