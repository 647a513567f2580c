#include "daemon/store/progress_page.h"

#include "tests/support/service_fixture.h"
#include "tests/support/resource_limits.h"

#include <sys/mman.h>

#include <algorithm>

namespace evfd::daemon {
namespace {

Slip created()
{
    auto slip = Slip::create();
    REQUIRE(slip);
    return *std::move(slip);
}

Slip reopened(const Slip& slip)
{
    auto again = Slip::open(*duplicate(slip.memfd()));
    REQUIRE(again);
    return *std::move(again);
}

TEST_CASE("a new slip is about no plan and knows of nothing taken")
{
    const auto slip = created();
    CHECK(slip.plan() == 0);
    CHECK(slip.to_add().empty());
    CHECK(slip.taken_since(1).empty());
}

TEST_CASE("what the kernel added is noted and the rest is still to be added")
{
    const auto adder = make_adder();
    const auto semaphore = *make_eventfd(0, Counter::semaphore);
    auto slip = created();
    const auto notes = slip.begin_plan(9, 5);
    REQUIRE(notes.size() == 5);
    CHECK(std::ranges::count(notes, 1) == 5);

    const std::array targets{semaphore.get(), semaphore.get(), semaphore.get()};
    REQUIRE(adder.add(targets, notes.first(3)));

    const auto again = reopened(slip);
    CHECK(again.plan() == 9);
    CHECK(std::string{again.to_add().begin(), again.to_add().end()} == "\0\0\0\1\1"s);
    CHECK(count(semaphore) == 3U);
}

TEST_CASE("a new plan takes the place of the one before")
{
    auto slip = created();
    slip.begin_plan(1, 100);
    const auto notes = slip.begin_plan(2, 1);
    CHECK(slip.plan() == 2);
    CHECK(notes.size() == 1);
    CHECK(slip.begin_plan(3, 0).empty());
}

TEST_CASE("a plan has room for as much as one call may set")
{
    auto slip = created();
    const auto most = static_cast<std::size_t>(max_tokens_per_set);
    CHECK(slip.begin_plan(1, most).size() == most);
    CHECK(slip.begin_plan(2, most + 1).size() == most);
    CHECK(slip.taken_since(0).empty()); // It did not write beyond its place.
}

TEST_CASE("what was taken since a commit is known until the next one")
{
    auto slip = created();
    const auto semaphore = *make_eventfd(3, Counter::semaphore);
    for (const std::uint64_t id : {5U, 6U}) {
        auto* into = slip.begin_taking(4, id);
        REQUIRE(into);
        REQUIRE(take_into(semaphore, *into) == true);
    }
    auto* in_vain = slip.begin_taking(4, 7);
    REQUIRE(in_vain);

    const auto again = reopened(slip);
    const auto taken = again.taken_since(4);
    REQUIRE(taken.size() == 3);
    CHECK((taken[0].id == 5 && taken[0].tokens == 1));
    CHECK((taken[1].id == 6 && taken[1].tokens == 1));
    CHECK((taken[2].id == 7 && taken[2].tokens == 0));
    CHECK(again.taken_since(5).empty());
    CHECK(again.taken_since(3).empty());

    REQUIRE(slip.begin_taking(5, 8));
    CHECK(slip.taken_since(4).empty());
    REQUIRE(slip.taken_since(5).size() == 1);
    CHECK(slip.taken_since(5)[0].tokens == 0);
}

TEST_CASE("a slip that is full says so until there was a commit")
{
    auto slip = created();
    for (std::size_t i = 0; i < Slip::max_takings; ++i)
        REQUIRE(slip.begin_taking(1, i));
    CHECK_FALSE(slip.begin_taking(1, 1));
    CHECK(slip.taken_since(1).size() == Slip::max_takings);
    CHECK(slip.begin_taking(2, 1));
}

TEST_CASE("what is no slip of this version is not opened")
{
    const auto open = [](const UniqueFd& memfd) { return Slip::open(*duplicate(memfd)); };
    const UniqueFd empty{::memfd_create("test", MFD_CLOEXEC)};
    CHECK_FALSE(open(empty));
    REQUIRE(::ftruncate(empty.get(), 1 << 20) == 0);
    CHECK_FALSE(open(empty)); // Zeros.

    const auto [offset, byte] = GENERATE(table<off_t, char>({{0, 'x'}, {7, 'x'}, {8, '\2'}}));
    const auto slip = created();
    REQUIRE(::pwrite(slip.memfd().get(), &byte, 1, offset) == 1);
    const auto opened = open(slip.memfd());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().error == EBADMSG);
}

TEST_CASE(
    "a slip that cannot be written to, is no file, or for which there is no memory is a fault")
{
    const auto slip = created();
    const auto path = "/proc/self/fd/" + std::to_string(slip.memfd().get());
    CHECK(Slip::open(UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}).error().error == EACCES);
    CHECK(Slip::open(UniqueFd{}).error().error == EBADF);
    const FileLimit limit{0};
    CHECK(Slip::create().error().error == EFBIG);
}

TEST_CASE("a slip whose numbers are wrong stays within its bounds")
{
    const auto slip = created();
    const std::uint64_t huge = UINT64_MAX;
    REQUIRE(::pwrite(slip.memfd().get(), &huge, sizeof huge, 24) == sizeof huge);
    const auto again = reopened(slip);
    CHECK(again.to_add().size() == static_cast<std::size_t>(max_tokens_per_set));
    const off_t takings = 32 + max_tokens_per_set + 8;
    REQUIRE(::pwrite(slip.memfd().get(), &huge, sizeof huge, takings) == sizeof huge);
    CHECK(again.taken_since(0).size() == Slip::max_takings);
}

} // namespace
} // namespace evfd::daemon
