#include "daemon/access/shared_pool.h"

#include "tests/support/service_fixture.h"

#include <unistd.h>

#include <vector>

namespace evfd::daemon {
namespace {

// The size of the pool. The last eighth of the pool is its reserve of 80. A user has a small share
// if it has less than 1/64 of the pool, which is 10.
constexpr std::int64_t capacity = 640;

Payer user(uid_t uid)
{
    return {uid, uid};
}

std::vector<SharedPool::Charge> take_many(SharedPool& pool, uid_t uid, std::int64_t count)
{
    std::vector<SharedPool::Charge> charges;
    for (std::int64_t i = 0; i < count; ++i)
        charges.push_back(pool.take_unchecked(user(uid)));
    return charges;
}

TEST_CASE("the last part of a shared pool is reserved for users with little")
{
    using enum SharedPool::Shortage;
    const auto [uid, used, free, refused] =
        GENERATE(table<uid_t, std::int64_t, std::int64_t, std::optional<SharedPool::Shortage>>({
            {alice, 0, 640, {}},
            {alice, 559, 81, {}},
            {alice, 560, 80, reserved},
            {alice, 10, 80, reserved},
            {alice, 9, 80, {}},
            {alice, 9, 1, {}},
            {alice, 0, 0, exhausted},
            {alice, 0, -1, exhausted},
            {0, 600, 1, {}},
            {0, 640, 0, exhausted},
            {::geteuid(), 600, 1, {}},
        }));
    CAPTURE(uid, used, free);
    SharedPool pool{capacity};
    const auto own = take_many(pool, uid, used);
    const auto others = take_many(pool, bob, capacity - free - used);

    const auto taken = pool.take(user(uid));

    CHECK(taken.has_value() == !refused);
    if (!taken)
        CHECK(taken.error() == refused);
}

TEST_CASE("a charge gives its unit back once, however it ends")
{
    SharedPool pool{capacity};
    auto released = pool.take_unchecked(user(alice));
    {
        auto taken = pool.take(user(alice));
        REQUIRE(taken);
        const auto moved = *std::move(taken);
        CHECK(pool.used_by(user(alice)) == 2);
    }
    CHECK(pool.used_by(user(alice)) == 1);
    released.release();
    released.release();
    CHECK(pool.used_by(user(alice)) == 0);

    released = pool.take_unchecked(user(bob));
    CHECK(pool.used() == 1);
    released = pool.take_unchecked(user(alice));
    CHECK(pool.used() == 1);
    CHECK(pool.used_by(user(bob)) == 0);
}

TEST_CASE("the users of an account share its part of the pool")
{
    SharedPool pool{capacity};
    const Payer one{100'001, 100'000};
    const Payer other{100'002, 100'000};
    const auto charge = pool.take(one);
    REQUIRE(charge);
    CHECK(pool.used_by(other) == 1);
    CHECK(pool.used_by(user(100'001)) == 0);
}

} // namespace
} // namespace evfd::daemon
