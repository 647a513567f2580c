#include "daemon/objects/id_sequence.h"

#include "common/clock.h"
#include "tests/support/catch.h"

#include <chrono>

namespace evfd::daemon {
namespace {

struct IdSequenceFixture {
    EventLoop loop;
    StateStore state_store{loop};
    IdSequence ids{state_store};
};

TEST_CASE("ids grow by one, and those of this daemon are not recovered")
{
    IdSequenceFixture fixture;
    for (std::uint64_t id = 1; id <= 10'000; ++id)
        REQUIRE(fixture.ids.next() == id);
    CHECK_FALSE(fixture.ids.is_recovered(1));
}

TEST_CASE("ids continue after the last id of an earlier daemon")
{
    IdSequenceFixture fixture;
    fixture.ids.continue_after(41, true);
    CHECK(fixture.ids.is_recovered(41));
    CHECK_FALSE(fixture.ids.is_recovered(42));
    CHECK(fixture.ids.next() == 42);
}

TEST_CASE("ids continue after the microseconds since 1970 if the last id is uncertain")
{
    IdSequenceFixture fixture;
    const auto before =
        std::chrono::duration_cast<std::chrono::microseconds>(wall_now().time_since_epoch());
    fixture.ids.continue_after(41, false);
    CHECK(fixture.ids.next() > static_cast<std::uint64_t>(before.count()));
    CHECK_FALSE(fixture.ids.is_recovered(42));
}

TEST_CASE("a last id above the microseconds since 1970 is kept")
{
    IdSequenceFixture fixture;
    constexpr std::uint64_t last = std::uint64_t{1} << 52;
    fixture.ids.continue_after(last, false);
    CHECK(fixture.ids.next() == last + 1);
}

} // namespace
} // namespace evfd::daemon
