#include "daemon/objects/event.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <limits>

namespace evfd::daemon {
namespace {

constexpr auto full = std::numeric_limits<std::uint64_t>::max() - 1;

Event make(Mode mode, std::int64_t initial = 0)
{
    auto fd = Event::make_descriptor(mode, initial);
    REQUIRE(fd);
    return {mode, FdStash::Stored{*std::move(fd)}, ample_descriptor(), false};
}

void make_blocking(const UniqueFd& fd)
{
    REQUIRE(::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK) == 0);
}

TEST_CASE("an event starts with its initial count")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto initial = GENERATE(std::int64_t{0}, 1, 7, max_initial_count);
    const auto event = make(mode, initial);
    CHECK(event.mode() == mode);
    CHECK(event.is_set() == (initial > 0));
    CHECK(event.count() == static_cast<std::uint64_t>(initial));
}

TEST_CASE("a set counts tokens only for a semaphore, shared or not")
{
    const auto [mode, counted] = GENERATE(table<Mode, std::uint64_t>(
        {{Mode::manual, 1}, {Mode::automatic, 1}, {Mode::semaphore, 5}}));
    const bool is_shared = GENERATE(false, true);
    const auto incrementer = make_incrementer();
    auto event = make(mode);
    const auto holder = is_shared ? *duplicate(*event.share()) : UniqueFd{};

    REQUIRE(event.set(5, incrementer));

    CHECK(event.count() == counted);
}

TEST_CASE("a take consumes all sets of an auto event and one token of a semaphore")
{
    const auto [mode, left] =
        GENERATE(table<Mode, std::uint64_t>({{Mode::automatic, 0}, {Mode::semaphore, 2}}));
    const auto event = make(mode, 3);
    std::uint64_t taken = 0;
    CHECK(event.take(taken) == true);
    CHECK(taken == 3 - left);
    CHECK(event.count() == left);
}

TEST_CASE("a take from an empty event returns at once, even if a holder made it blocking")
{
    const auto mode = GENERATE(Mode::automatic, Mode::semaphore);
    auto event = make(mode);
    const auto holder = *duplicate(*event.share());
    make_blocking(holder);
    std::uint64_t taken = 7;
    CHECK(event.take(taken) == false);
    CHECK(taken == 7);
}

TEST_CASE("a set of a full event that a holder made blocking returns at once")
{
    const auto incrementer = make_incrementer();
    auto event = make(Mode::semaphore);
    const auto holder = *duplicate(*event.share());
    REQUIRE(add(holder, full));
    make_blocking(holder);

    REQUIRE(event.set(2, incrementer));

    CHECK(event.is_set());
}

TEST_CASE("a set beyond the capacity fills up an unshared semaphore")
{
    const auto incrementer = make_incrementer();
    auto event = make(Mode::semaphore);
    REQUIRE(add(event.fd(), full - 1));

    REQUIRE(event.set(5, incrementer));

    CHECK(*event.count() >= full);
}

TEST_CASE("a cleared event is not set")
{
    const auto mode = GENERATE(Mode::manual, Mode::automatic, Mode::semaphore);
    const auto initial = GENERATE(std::int64_t{0}, 3);
    auto event = make(mode, initial);
    const auto holder = *duplicate(*event.share());
    make_blocking(holder);
    std::optional<std::uint64_t> left;

    REQUIRE(event.clear(left, TimeSlice::unlimited()).value());

    CHECK_FALSE(event.is_set());
}

TEST_CASE("a clear consumes as many tokens of a semaphore as its time allows, and at least one")
{
    auto event = make(Mode::semaphore, 3);
    std::optional<std::uint64_t> left;
    const TimeSlice none{0ns};

    CHECK_FALSE(event.clear(left, none).value());
    CHECK(event.count() == 2U);
    CHECK_FALSE(event.clear(left, none).value());
    CHECK(event.clear(left, none).value());
    CHECK_FALSE(event.is_set());
}

TEST_CASE(
    "a clear consumes the tokens that existed at its start, however many others add meanwhile")
{
    auto event = make(Mode::semaphore, 3);
    std::optional<std::uint64_t> left;
    CHECK_FALSE(event.clear(left, TimeSlice{0ns}).value());
    for (int i = 0; i < 10; ++i)
        REQUIRE(add(event.fd(), 1));

    CHECK_FALSE(event.clear(left, TimeSlice{0ns}).value());
    CHECK(event.clear(left, TimeSlice::unlimited()).value());

    CHECK(event.count() == 10U);
}

TEST_CASE("a clear of a semaphore with too many tokens to consume one by one is refused")
{
    auto event = make(Mode::semaphore, 0);
    REQUIRE(add(event.fd(), static_cast<std::uint64_t>(max_tokens_per_clear) + 1));
    std::optional<std::uint64_t> left;
    // The clear consumes one token before it checks the limit max_tokens_per_clear. At the check,
    // exactly max_tokens_per_clear tokens are left, so the clear is not refused.
    CHECK_FALSE(event.clear(left, TimeSlice{0ns}).value());

    REQUIRE(add(event.fd(), 2));
    left.reset();
    const auto cleared = event.clear(left, TimeSlice{0ns});
    REQUIRE_FALSE(cleared);
    CHECK(cleared.error().error == E2BIG);
}

TEST_CASE(
    "a caller with both permissions shares the event, and one that may only wait cannot set it")
{
    auto event = make(Mode::manual);
    const auto shared = *duplicate(*event.share());
    const auto wait_only = *event.make_wait_only();
    CHECK_FALSE(is_readable(wait_only));
    CHECK_FALSE(add(wait_only, 1));

    REQUIRE(add(shared, 1));

    CHECK(event.is_set());
    CHECK(is_readable(wait_only));
}

} // namespace
} // namespace evfd::daemon
