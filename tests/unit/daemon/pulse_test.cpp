#include "daemon/objects/pulse.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <limits>

namespace evfd::daemon {
namespace {

struct SubscribedPulse {
    Token subscribe()
    {
        const auto token = *Token::make();
        fds.push_back(
            daemon::subscribe(pulse.subscriptions(), token, Pulse::make_descriptor(), quota));
        return token;
    }
    Result<void> set(std::int64_t times)
    {
        pulse.set_pulses(pulse.pulses() + times);
        std::vector<int> targets;
        pulse.append_targets(times, targets, targets);
        return incrementer.add(targets);
    }
    Quota quota{default_limits};
    EventfdIncrementer incrementer = make_incrementer();
    Pulse pulse;
    std::vector<UniqueFd> fds;
};

TEST_CASE("a pulse reaches each subscriber and is counted for each separately")
{
    SubscribedPulse fixture;
    fixture.subscribe();
    fixture.subscribe();

    REQUIRE(fixture.set(1));
    CHECK(take(fixture.fds[0]) == 1U);
    REQUIRE(fixture.set(2));

    CHECK(take(fixture.fds[0]) == 2U);
    CHECK(take(fixture.fds[1]) == 3U);
    CHECK(fixture.pulse.pulses() == 3);
}

TEST_CASE("a later subscriber sees no earlier pulse")
{
    SubscribedPulse fixture;
    REQUIRE(fixture.set(5)); // No subscriber receives these pulses.
    fixture.subscribe();
    CHECK(take(fixture.fds[0]) == 0U);
    CHECK(fixture.pulse.pulses() == 5);
}

TEST_CASE("an unsubscribed descriptor gets no more pulses and returns its charge")
{
    SubscribedPulse fixture;
    const auto token = fixture.subscribe();
    CHECK(fixture.pulse.subscriptions().has(token));
    CHECK(fixture.pulse.subscriptions().size() == 1);

    CHECK(fixture.pulse.subscriptions().remove(token));

    REQUIRE(fixture.set(1));
    CHECK(take(fixture.fds[0]) == 0U);
    CHECK_FALSE(fixture.pulse.subscriptions().has(token));
    CHECK(fixture.quota.used(alice, Resource::subscriptions) == 0);
    CHECK_FALSE(fixture.pulse.subscriptions().remove(token));
}

TEST_CASE("each set of a pulse reaches those who are subscribed at that moment")
{
    SubscribedPulse fixture;
    const auto first = fixture.subscribe();
    REQUIRE(fixture.set(1));
    fixture.subscribe();
    REQUIRE(fixture.set(1));
    REQUIRE(fixture.pulse.subscriptions().remove(first));
    REQUIRE(fixture.set(1));
    fixture.subscribe();
    REQUIRE(fixture.set(1));
    CHECK(take(fixture.fds[0]) == 2U);
    CHECK(take(fixture.fds[1]) == 3U);
    CHECK(take(fixture.fds[2]) == 1U);
}

TEST_CASE("a subscriber with a full, blocking counter does not block the others")
{
    SubscribedPulse fixture;
    fixture.subscribe();
    fixture.subscribe();
    for (const auto& fd : fixture.fds)
        REQUIRE(::fcntl(fd.get(), F_SETFL, 0) == 0);
    const auto full = std::numeric_limits<std::uint64_t>::max() - 1;
    REQUIRE(add(fixture.fds[0], full));

    REQUIRE(fixture.set(3));

    CHECK(is_readable(fixture.fds[0]));
    CHECK(take(fixture.fds[1]) == 3U);
}

TEST_CASE("a destroyed pulse returns all charges")
{
    Quota quota{default_limits};
    {
        Pulse pulse;
        subscribe(pulse.subscriptions(), *Token::make(), Pulse::make_descriptor(), quota);
        CHECK(quota.used(alice, Resource::subscriptions) == 1);
    }
    CHECK(quota.used(alice, Resource::subscriptions) == 0);
}

} // namespace
} // namespace evfd::daemon
