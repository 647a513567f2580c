#include "daemon/access/quota.h"

#include "tests/support/service_fixture.h"

namespace evfd::daemon {
namespace {

constexpr Limits few{{2, 11, 3, 4, 5, 6, 7, 8, 9, 10}};

TEST_CASE("a user gets as many of a resource as its limit and no more")
{
    const auto [resource, limit] = GENERATE(table<Resource, std::int64_t>({
        {Resource::objects, 2},
        {Resource::opened_events, 11},
        {Resource::connections, 3},
        {Resource::subscriptions, 4},
        {Resource::waits, 5},
        {Resource::monitors, 6},
        {Resource::ticks, 7},
        {Resource::unread_bytes, 8},
        {Resource::unread_descriptors, 9},
        {Resource::calls, 10},
    }));
    Quota quota{few};
    std::deque<Quota::Charge> charges;
    for (std::int64_t i = 0; i < limit; ++i) {
        auto charge = quota.charge(alice, resource);
        REQUIRE(charge);
        charges.push_back(*std::move(charge));
    }

    const auto refused = quota.charge(alice, resource);

    REQUIRE_FALSE(refused);
    CHECK(refused.error().uid == alice);
    CHECK(refused.error().resource == resource);
    CHECK(refused.error().limit == limit);
    CHECK(quota.used(alice, resource) == limit);
}

TEST_CASE("a charge is returned once")
{
    Quota quota{few};
    {
        auto charge = quota.charge(alice, Resource::objects);
        REQUIRE(charge);
        const auto moved = *std::move(charge);
        CHECK(quota.used(alice, Resource::objects) == 1);
        CHECK(quota.used_by_all(Resource::objects) == 1);
    }
    CHECK(quota.used(alice, Resource::objects) == 0);
    CHECK(quota.used_by_all(Resource::objects) == 0);
}

TEST_CASE("the usage of one user or resource does not affect another")
{
    Quota quota{few};
    const auto one = quota.charge(alice, Resource::objects);
    const auto two = quota.charge(alice, Resource::objects);
    REQUIRE_FALSE(quota.charge(alice, Resource::objects));

    const auto bobs = quota.charge(bob, Resource::objects);
    const auto other = quota.charge(alice, Resource::waits);

    CHECK(bobs);
    CHECK(other);
    CHECK(quota.used_by_all(Resource::objects) == 3);
}

TEST_CASE("a refused charge is not counted")
{
    Quota quota{Limits{}};
    CHECK_FALSE(quota.charge(alice, Resource::waits));
    CHECK(quota.used(alice, Resource::waits) == 0);
    CHECK(quota.used_by_all(Resource::waits) == 0);
}

TEST_CASE("a charge of an amount returns that amount")
{
    Quota quota{few};
    auto charge = quota.charge(alice, Resource::ticks, 5);
    REQUIRE(charge);
    CHECK(charge->amount() == 5);
    CHECK(quota.used(alice, Resource::ticks) == 5);

    CHECK_FALSE(quota.charge(alice, Resource::ticks, 3));
    CHECK(quota.used(alice, Resource::ticks) == 5);
    // This charge exists only until the end of the statement, and is then returned.
    CHECK(quota.charge(alice, Resource::ticks, 2));

    charge->resize(1);
    CHECK(quota.used(alice, Resource::ticks) == 1);
    CHECK(quota.used_by_all(Resource::ticks) == 1);
    CHECK(quota.charge(alice, Resource::ticks, 6));
}

TEST_CASE("a charge may grow beyond the limit, and new ones are refused until it shrinks")
{
    Quota quota{few};
    auto charge = quota.charge_unchecked(alice, Resource::unread_bytes, 0);
    CHECK(quota.users().empty());

    charge.resize(7);
    CHECK(quota.check(alice, Resource::unread_bytes));
    charge.resize(8);
    const auto refused = quota.check(alice, Resource::unread_bytes);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().limit == 8);
    CHECK(charge.amount() == 8);
    charge.resize(100);
    CHECK(quota.used(alice, Resource::unread_bytes) == 100);
    CHECK_FALSE(quota.check(alice, Resource::unread_bytes));
    charge.resize(5);
    CHECK(quota.used(alice, Resource::unread_bytes) == 5);
    CHECK(quota.check(alice, Resource::unread_bytes));
    charge.resize(0);
    CHECK(quota.users().empty());
}

TEST_CASE("unseen returns are collected before a refusal and only then")
{
    Quota quota{few};
    std::vector<uid_t> reclaimed;
    std::optional<Quota::Charge> old{
        quota.charge_unchecked(alice, Resource::unread_descriptors, 9)};
    quota.set_reclaim(Resource::unread_descriptors, [&](uid_t uid) {
        reclaimed.push_back(uid);
        old.reset();
    });

    CHECK(quota.charge(bob, Resource::unread_descriptors, 9));
    CHECK(reclaimed.empty());
    CHECK(quota.charge(alice, Resource::unread_descriptors));
    CHECK(reclaimed == std::vector<uid_t>{alice});
    // The amount 10 exceeds the limit even if nothing is in use.
    CHECK_FALSE(quota.charge(alice, Resource::unread_descriptors, 10));
}

TEST_CASE("a user with limits of its own has those, and all others have the common ones")
{
    auto own = few;
    own.set(Resource::objects, 1);
    Quota quota{LimitTable{few, {{bob, own}}}};
    const auto alices_charge = quota.charge(alice, Resource::objects);
    const auto bobs_charge = quota.charge(bob, Resource::objects);

    CHECK(quota.charge(alice, Resource::objects));
    const auto refused = quota.charge(bob, Resource::objects);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().limit == 1);
    CHECK(quota.users() == std::vector<uid_t>{alice, bob});

    quota.set_limits(LimitTable{own, {{bob, few}}});
    // The new limit of alice is 1. alice keeps her charge for one object, and each further charge
    // is refused. The new limit of bob is 2.
    CHECK_FALSE(quota.charge(alice, Resource::objects));
    CHECK(quota.charge(bob, Resource::objects));
}

TEST_CASE("users of one account have one limit together")
{
    constexpr uid_t first = 100'000;
    Quota quota{few};
    quota.set_accounts(Accounts{"alice:100000:65536\n"});
    const auto one = quota.charge(first + 1, Resource::objects);
    const auto other = quota.charge(first + 2, Resource::objects);
    REQUIRE(one);
    REQUIRE(other);
    CHECK_FALSE(quota.charge(first + 3, Resource::objects));
    // The subordinate uids of alice share one account. The uid of alice has another account.
    CHECK(quota.charge(alice, Resource::objects));
    CHECK(quota.used(first + 3, Resource::objects) == 2);
    CHECK(quota.users() == std::vector<uid_t>{first});
}

TEST_CASE("a charge is returned to the account that it was taken from")
{
    constexpr uid_t uid = 100'001;
    Quota quota{few};
    auto before = quota.charge(uid, Resource::objects, 2);
    REQUIRE(before);
    quota.set_accounts(Accounts{"alice:100000:65536\n"});
    CHECK(quota.users() == std::vector<uid_t>{uid});
    before->resize(0);
    CHECK(quota.users().empty());
    CHECK(quota.charge(uid, Resource::objects, 2));
}

} // namespace
} // namespace evfd::daemon
