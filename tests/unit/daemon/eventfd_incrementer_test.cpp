#include "daemon/objects/eventfd_incrementer.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <limits>
#include <optional>

namespace evfd::daemon {
namespace {

constexpr auto full = std::numeric_limits<std::uint64_t>::max() - 1;

UniqueFd event(Counter counter = Counter::plain)
{
    return *make_eventfd(0, counter);
}

void make_blocking(const UniqueFd& fd)
{
    REQUIRE(::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK) == 0);
}

TEST_CASE("an incrementer adds one to each of many eventfds")
{
    // The incrementer submits at most 128 increments in one call of io_submit(2).
    const auto event_count = GENERATE(0U, 1U, 127U, 128U, 129U, 300U);
    const auto incrementer = make_incrementer();
    std::vector<UniqueFd> events;
    std::vector<int> fds;
    for (unsigned i = 0; i < event_count; ++i)
        fds.push_back(events.emplace_back(event()).get());

    REQUIRE(incrementer.add(fds));

    for (const auto& fd : events)
        CHECK(count(fd) == 1U);
}

TEST_CASE("a copied incrementer works after the original was destroyed")
{
    std::optional<EventfdIncrementer> first{make_incrementer()};
    const EventfdIncrementer copy{*first};
    first.reset();
    const auto one = event();

    REQUIRE(copy.add(std::array{one.get()}));

    CHECK(count(one) == 1U);
}

TEST_CASE("an eventfd that is listed several times is incremented as often")
{
    const auto incrementer = make_incrementer();
    const auto one = event();
    const auto other = event();

    REQUIRE(incrementer.add(std::array{one.get(), other.get(), one.get()}));

    CHECK(count(one) == 2U);
    CHECK(count(other) == 1U);
}

TEST_CASE("an incrementer adds many to one eventfd")
{
    const auto times = GENERATE(std::size_t{0}, 1, 128, 129, 1'000);
    const auto incrementer = make_incrementer();
    const auto semaphore = event(Counter::semaphore);

    REQUIRE(incrementer.add(std::vector<int>(times, semaphore.get())));

    CHECK(count(semaphore) == times);
}

TEST_CASE("a full eventfd stays set and blocks no other, even if a holder made it blocking")
{
    const auto incrementer = make_incrementer();
    const auto saturated = event();
    const auto next = event();
    REQUIRE(add(saturated, full));
    make_blocking(saturated);

    REQUIRE(incrementer.add(std::array{saturated.get(), saturated.get(), next.get()}));

    CHECK(is_readable(saturated));
    CHECK(count(next) == 1U);
}

TEST_CASE("a foreign descriptor is a fault, and those after it are still incremented")
{
    const auto incrementer = make_incrementer();
    const auto good = event();

    CHECK_FALSE(incrementer.add(std::array{-1}));

    REQUIRE(incrementer.add(std::array{good.get()}));
    CHECK(count(good) == 1U);
}

TEST_CASE("an incrementer works any number of times")
{
    const auto incrementer = make_incrementer();
    const auto fd = event();
    for (int i = 0; i < 2'000; ++i)
        REQUIRE(incrementer.add(std::array{fd.get()}));
    CHECK(count(fd) == 2'000U);
}

} // namespace
} // namespace evfd::daemon
