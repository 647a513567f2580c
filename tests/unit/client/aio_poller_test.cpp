#include "client/core/aio_poller.h"
#include "common/eventfd.h"
#include "evfd/event.h"
#include "tests/support/catch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;

UniqueFd event(unsigned initial = 0)
{
    return *make_eventfd(initial, Counter::plain);
}

TEST_CASE("a descriptor that was set and cleared before the poll still becomes ready")
{
    REQUIRE(supports_latched_wait());
    const auto one = event();
    AioPoller poller{1};
    REQUIRE(poller.arm(0, one.get()));
    REQUIRE(add(one, 1));
    REQUIRE(take(one).value() == 1);
    CHECK(poller.wait(monotonic_deadline(10s)).value() == std::vector<std::size_t>{0});
}

TEST_CASE("a wait-only handle becomes ready like its event")
{
    const auto one = event();
    const auto handle = make_wait_only(one).value();
    AioPoller poller{1};
    REQUIRE(poller.arm(0, handle.get()));
    REQUIRE(add(one, 1));
    REQUIRE(take(one).value() == 1);
    CHECK(poller.wait(monotonic_deadline(10s)).value() == std::vector<std::size_t>{0});
}

TEST_CASE("a poll returns at once with exactly the descriptors that are already set")
{
    const auto quiet = event();
    const auto set = event(1);
    AioPoller poller{2};
    REQUIRE(poller.arm(0, quiet.get()));
    REQUIRE(poller.arm(1, set.get()));
    CHECK(poller.wait(monotonic_deadline(10s)).value() == std::vector<std::size_t>{1});
    CHECK(poller.wait(monotonic_now()).value().empty());
}

TEST_CASE("a poll reports a descriptor once, and again after it was armed again")
{
    const auto one = event(1);
    AioPoller poller{1};
    REQUIRE(poller.arm(0, one.get()));
    CHECK(poller.wait(monotonic_deadline(10s)).value().size() == 1);
    CHECK(poller.wait(monotonic_now()).value().empty());
    REQUIRE(poller.arm(0, one.get()));
    CHECK(poller.wait(monotonic_deadline(10s)).value().size() == 1);
}

TEST_CASE("a poll reports nothing before its timeout, and nothing after it")
{
    const auto one = event();
    AioPoller poller{1};
    REQUIRE(poller.arm(0, one.get()));
    const auto deadline = monotonic_deadline(20ms);
    CHECK(poller.wait(deadline).value().empty());
    CHECK(monotonic_now() >= deadline);
}

TEST_CASE("a poll reports all of many descriptors, also more than a shared context holds")
{
    const auto many = GENERATE(1U, 32U, 33U, 253U);
    std::vector<UniqueFd> events;
    AioPoller poller{many};
    for (std::size_t i = 0; i < many; ++i) {
        events.push_back(event());
        REQUIRE(poller.arm(i, events.back().get()));
    }
    for (const auto& one : events)
        REQUIRE(add(one, 1));
    std::set<std::size_t> ready;
    while (ready.size() < many) {
        const auto some = poller.wait(monotonic_deadline(10s)).value();
        REQUIRE_FALSE(some.empty());
        for (const auto index : some)
            CHECK(ready.insert(index).second);
    }
}

TEST_CASE("a poller does not see what an earlier poller left behind")
{
    const auto one = event();
    const auto other = event();
    {
        AioPoller left{1};
        REQUIRE(left.arm(0, one.get()));
    }
    REQUIRE(add(one, 1));
    AioPoller poller{1};
    REQUIRE(poller.arm(0, other.get()));
    CHECK(poller.wait(monotonic_now()).value().empty());
}

TEST_CASE("threads poll in parallel")
{
    const auto one = event();
    std::vector<std::jthread> threads;
    std::atomic<int> released = 0;
    for (int i = 0; i < 20; ++i)
        threads.emplace_back([&] {
            AioPoller poller{1};
            if (poller.arm(0, one.get()) &&
                poller.wait(monotonic_deadline(30s)).value().size() == 1)
                ++released;
        });
    REQUIRE(add(one, 1)); // The event stays set, so a later poll returns at once.
    threads.clear();
    CHECK(released == 20);
}

// Returns the number of AIO contexts of this process. Each context is a mapping named "[aio]" in
// /proc/self/maps, see proc(5).
std::size_t mapped_contexts()
{
    std::ifstream maps{"/proc/self/maps"};
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);)
        count += line.contains("[aio]") ? 1U : 0U;
    return count;
}

TEST_CASE("few contexts are kept of many that were used at once")
{
    const auto size = GENERATE(1U, 100U);
    const auto before = mapped_contexts();
    {
        std::deque<AioPoller> all;
        for (int i = 0; i < 40; ++i)
            all.emplace_back(size);
        CHECK(mapped_contexts() > before);
    }
    CHECK(mapped_contexts() <= before + 16);
    CHECK(mapped_contexts() > 0);
}

TEST_CASE("the context of a poll for many descriptors is used again")
{
    for (int i = 0; i < 2; ++i) {
        const AioPoller poller{100};
    }
    const auto before = mapped_contexts();
    {
        const AioPoller poller{200};
        CHECK(mapped_contexts() == before);
    }
    CHECK(mapped_contexts() == before);
}

TEST_CASE("a forked child can poll although the parent's contexts are not its own")
{
    {
        const auto warm = event(1);
        AioPoller poller{1};
        REQUIRE(poller.arm(0, warm.get()));
        REQUIRE(poller.wait(monotonic_deadline(10s)).value().size() == 1);
    }
    const auto child = ::fork();
    if (child == 0) {
        const auto one = event(1);
        AioPoller poller{1};
        const bool was_ready =
            poller.arm(0, one.get()) &&
            poller.wait(monotonic_deadline(10s)).value_or(std::vector<std::size_t>{}).size() == 1;
        ::_exit(was_ready ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("children that are forked while threads poll can poll")
{
    std::atomic<bool> is_done = false;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i)
        threads.emplace_back([&] {
            const auto one = event();
            while (!is_done) {
                AioPoller poller{1};
                (void)poller.arm(0, one.get());
            }
        });
    for (int i = 0; i < 100; ++i) {
        const auto child = ::fork();
        if (child == 0) {
            ::alarm(30); // SIGALRM ends a child that hangs.
            const auto one = event(1);
            AioPoller poller{1};
            const bool is_armed = poller.arm(0, one.get()).has_value();
            ::_exit(is_armed && poller.wait(monotonic_deadline(10s)).has_value() ? 0 : 1);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
    }
    is_done = true;
}

} // namespace
} // namespace evfd
