#include "daemon/objects/pulse.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <limits>

namespace evfd::daemon {
namespace {

struct Followed {
    Token follow()
    {
        const auto token = *Token::make();
        fds.push_back(daemon::follow(pulse.followers(), token, Pulse::make_descriptor(), quota));
        return token;
    }
    Quota quota{default_limits};
    Adder adder = make_adder();
    Pulse pulse;
    std::vector<UniqueFd> fds;
};

TEST_CASE("a pulse reaches everyone who follows, and is counted for each apart")
{
    Followed followed;
    followed.follow();
    followed.follow();

    REQUIRE(followed.pulse.set(1, followed.adder));
    CHECK(take(followed.fds[0]) == 1U);
    REQUIRE(followed.pulse.set(2, followed.adder));

    CHECK(take(followed.fds[0]) == 2U);
    CHECK(take(followed.fds[1]) == 3U);
    CHECK(followed.pulse.pulses() == 3);
}

TEST_CASE("who follows later hears nothing of before")
{
    Followed followed;
    REQUIRE(followed.pulse.set(5, followed.adder)); // Nobody follows.
    followed.follow();
    CHECK(take(followed.fds[0]) == 0U);
    CHECK(followed.pulse.pulses() == 5);
}

TEST_CASE("who unsubscribed hears no more and gives its charge back")
{
    Followed followed;
    const auto token = followed.follow();
    CHECK(followed.pulse.followers().has(token));
    CHECK(followed.pulse.followers().size() == 1);

    CHECK(followed.pulse.followers().remove(token));

    REQUIRE(followed.pulse.set(1, followed.adder));
    CHECK(take(followed.fds[0]) == 0U);
    CHECK_FALSE(followed.pulse.followers().has(token));
    CHECK(followed.quota.used(alice, Resource::subscriptions) == 0);
    CHECK_FALSE(followed.pulse.followers().remove(token));
}

TEST_CASE("a follower whose counter is full and blocking keeps nobody from hearing")
{
    Followed followed;
    followed.follow();
    followed.follow();
    for (const auto& fd : followed.fds)
        REQUIRE(::fcntl(fd.get(), F_SETFL, 0) == 0);
    const auto full = std::numeric_limits<std::uint64_t>::max() - 1;
    REQUIRE(add(followed.fds[0], full));

    REQUIRE(followed.pulse.set(3, followed.adder));

    CHECK(is_readable(followed.fds[0]));
    CHECK(take(followed.fds[1]) == 3U);
}

TEST_CASE("a pulse that is gone gives all charges back")
{
    Quota quota{default_limits};
    {
        Pulse pulse;
        follow(pulse.followers(), *Token::make(), Pulse::make_descriptor(), quota);
        CHECK(quota.used(alice, Resource::subscriptions) == 1);
    }
    CHECK(quota.used(alice, Resource::subscriptions) == 0);
}

} // namespace
} // namespace evfd::daemon
