#include "daemon/quota.h"

#include "tests/daemon_fixture.h"

namespace evfd::daemon {
namespace {

constexpr Limits few{{2, 3, 4, 5, 6}};

TEST_CASE("a user gets as many as the limit says and no more")
{
    const auto [resource, limit] = GENERATE(table<Resource, std::int64_t>({
        {Resource::objects, 2},
        {Resource::connections, 3},
        {Resource::subscriptions, 4},
        {Resource::waits, 5},
        {Resource::monitors, 6},
    }));
    Quota quota{few};
    std::deque<Quota::Charge> charges;
    for (std::int64_t i = 0; i < limit; ++i) {
        auto charge = quota.take(alice, resource);
        REQUIRE(charge);
        charges.push_back(*std::move(charge));
    }

    const auto refused = quota.take(alice, resource);

    REQUIRE_FALSE(refused);
    CHECK(refused.error().uid == alice);
    CHECK(refused.error().resource == resource);
    CHECK(refused.error().limit == limit);
    CHECK(quota.used(alice, resource) == limit);
}

TEST_CASE("a charge gives itself back, once")
{
    Quota quota{few};
    {
        auto charge = quota.take(alice, Resource::objects);
        REQUIRE(charge);
        const auto moved = *std::move(charge);
        CHECK(quota.used(alice, Resource::objects) == 1);
        CHECK(quota.used_by_all(Resource::objects) == 1);
    }
    CHECK(quota.used(alice, Resource::objects) == 0);
    CHECK(quota.used_by_all(Resource::objects) == 0);
}

TEST_CASE("what one user holds leaves another's limit and another resource alone")
{
    Quota quota{few};
    const auto one = quota.take(alice, Resource::objects);
    const auto two = quota.take(alice, Resource::objects);
    REQUIRE_FALSE(quota.take(alice, Resource::objects));

    const auto bobs = quota.take(bob, Resource::objects);
    const auto other = quota.take(alice, Resource::waits);

    CHECK(bobs);
    CHECK(other);
    CHECK(quota.used_by_all(Resource::objects) == 3);
}

TEST_CASE("a refused charge is not counted")
{
    Quota quota{Limits{}};
    CHECK_FALSE(quota.take(alice, Resource::waits));
    CHECK(quota.used(alice, Resource::waits) == 0);
    CHECK(quota.used_by_all(Resource::waits) == 0);
}

} // namespace
} // namespace evfd::daemon
