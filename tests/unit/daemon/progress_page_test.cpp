#include "daemon/store/progress_page.h"

#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <sys/mman.h>

#include <algorithm>

namespace evfd::daemon {
namespace {

ProgressPage created()
{
    auto page = ProgressPage::create();
    REQUIRE(page);
    return *std::move(page);
}

ProgressPage reopened(const ProgressPage& page)
{
    auto again = ProgressPage::open(*duplicate(page.memfd()));
    REQUIRE(again);
    return *std::move(again);
}

TEST_CASE("a new progress page belongs to no intent and records no taken token")
{
    const auto page = created();
    CHECK(page.intent_commit() == 0);
    CHECK(page.pending_increments().empty());
    CHECK(page.takes_since(1).empty());
}

TEST_CASE("increments that the kernel completed are recorded, and the rest is pending")
{
    const auto incrementer = make_incrementer();
    const auto semaphore = *make_eventfd(0, Counter::semaphore);
    auto page = created();
    const auto pending = page.begin_intent(9, 5);
    REQUIRE(pending.size() == 5);
    CHECK(std::ranges::count(pending, 1) == 5);

    const std::array targets{semaphore.get(), semaphore.get(), semaphore.get()};
    REQUIRE(incrementer.add(targets, pending.first(3)));

    const auto again = reopened(page);
    CHECK(again.intent_commit() == 9);
    CHECK(std::string{again.pending_increments().begin(), again.pending_increments().end()} ==
          "\0\0\0\1\1"s);
    CHECK(count(semaphore) == 3U);
}

TEST_CASE("a new intent replaces the earlier one")
{
    auto page = created();
    page.begin_intent(1, 100);
    const auto pending = page.begin_intent(2, 1);
    CHECK(page.intent_commit() == 2);
    CHECK(pending.size() == 1);
    CHECK(page.begin_intent(3, 0).empty());
}

TEST_CASE("an intent has room for as many increments as one call may make")
{
    auto page = created();
    const auto most = static_cast<std::size_t>(max_tokens_per_set);
    CHECK(page.begin_intent(1, most).size() == most);
    CHECK(page.begin_intent(2, most + 1).size() == most);
    // begin_intent() has not overwritten the slots for takes, although the test asked for more
    // increments than the page has room for.
    CHECK(page.takes_since(0).empty());
}

TEST_CASE("tokens taken since a commit are known until the next commit")
{
    auto page = created();
    const auto semaphore = *make_eventfd(3, Counter::semaphore);
    for (const std::uint64_t id : {5U, 6U}) {
        auto* into = page.begin_take(4, id);
        REQUIRE(into);
        REQUIRE(take_into(semaphore, *into) == true);
    }
    auto* unused_slot = page.begin_take(4, 7);
    REQUIRE(unused_slot);

    const auto again = reopened(page);
    const auto taken = again.takes_since(4);
    REQUIRE(taken.size() == 3);
    CHECK((taken[0].id == 5 && taken[0].tokens == 1));
    CHECK((taken[1].id == 6 && taken[1].tokens == 1));
    CHECK((taken[2].id == 7 && taken[2].tokens == 0));
    CHECK(again.takes_since(5).empty());
    CHECK(again.takes_since(3).empty());

    REQUIRE(page.begin_take(5, 8));
    CHECK(page.takes_since(4).empty());
    REQUIRE(page.takes_since(5).size() == 1);
    CHECK(page.takes_since(5)[0].tokens == 0);
}

TEST_CASE("a full progress page reports so until a commit")
{
    auto page = created();
    for (std::size_t i = 0; i < ProgressPage::max_takes; ++i)
        REQUIRE(page.begin_take(1, i));
    CHECK_FALSE(page.begin_take(1, 1));
    CHECK(page.takes_since(1).size() == ProgressPage::max_takes);
    CHECK(page.begin_take(2, 1));
}

TEST_CASE("a progress page of another version is refused")
{
    const auto open = [](const UniqueFd& memfd) { return ProgressPage::open(*duplicate(memfd)); };
    const UniqueFd empty{::memfd_create("test", MFD_CLOEXEC)};
    CHECK_FALSE(open(empty));
    REQUIRE(::ftruncate(empty.get(), 1 << 20) == 0);
    CHECK_FALSE(open(empty)); // The file now contains only zeros.

    const auto [offset, byte] = GENERATE(table<off_t, char>({{0, 'x'}, {7, 'x'}, {8, '\2'}}));
    const auto page = created();
    REQUIRE(::pwrite(page.memfd().get(), &byte, 1, offset) == 1);
    const auto opened = open(page.memfd());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().error == EBADMSG);
}

TEST_CASE("a progress page that is read-only, no file or without memory is a fault")
{
    const auto page = created();
    const auto path = "/proc/self/fd/" + std::to_string(page.memfd().get());
    CHECK(ProgressPage::open(UniqueFd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}).error().error ==
          EACCES);
    CHECK(ProgressPage::open(UniqueFd{}).error().error == EBADF);
    const FileLimit limit{0};
    CHECK(ProgressPage::create().error().error == EFBIG);
}

TEST_CASE("a progress page with wrong numbers stays within its bounds")
{
    const auto page = created();
    const std::uint64_t huge = UINT64_MAX;
    REQUIRE(::pwrite(page.memfd().get(), &huge, sizeof huge, 24) == sizeof huge);
    const auto again = reopened(page);
    CHECK(again.pending_increments().size() == static_cast<std::size_t>(max_tokens_per_set));
    const off_t take_slots_offset = 32 + max_tokens_per_set + 8;
    REQUIRE(::pwrite(page.memfd().get(), &huge, sizeof huge, take_slots_offset) == sizeof huge);
    CHECK(again.takes_since(0).size() == ProgressPage::max_takes);
}

} // namespace
} // namespace evfd::daemon
