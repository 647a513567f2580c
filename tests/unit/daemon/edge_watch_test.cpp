#include "daemon/objects/edge_watch.h"

#include "common/eventfd.h"
#include "tests/support/catch.h"

#include <fcntl.h>

#include <utility>

namespace evfd::daemon {
namespace {

// An eventfd, its edge watch, and a record of what the watch reported.
struct WatchedEventfd {
    Result<void> arm(EdgeMask mask)
    {
        return watch.arm(epoll, fd, mask, [this](std::uint32_t events) {
            saw_full_counter |= watch.shows_full_counter(events);
            reported += watch.on_edge() ? 1 : 0;
        });
    }
    // Returns the number of edges that were reported since the last call.
    int take_reported()
    {
        REQUIRE(epoll.poll());
        return std::exchange(reported, 0);
    }

    EventLoop epoll;
    UniqueFd fd = *make_eventfd(0, Counter::plain);
    EdgeWatch watch; // Declared after fd, so that the watch is destroyed first.
    int reported = 0;
    bool saw_full_counter = false;
};

TEST_CASE("an edge watch for readable edges reports sets and no reads")
{
    WatchedEventfd event;
    REQUIRE(add(event.fd, 1));
    REQUIRE(event.arm(EdgeMask::readable));
    CHECK(event.watch.reports(EdgeMask::readable));
    CHECK_FALSE(event.watch.reports(EdgeMask::any));
    // Arming the watch reports an edge, because the eventfd already has a token.
    CHECK(event.take_reported() == 1);
    REQUIRE(take(event.fd));
    CHECK(event.take_reported() == 0);
    REQUIRE(add(event.fd, 1));
    CHECK(event.take_reported() == 1);
    CHECK_FALSE(event.saw_full_counter);
}

TEST_CASE("an edge watch for all edges reports sets and reads, and not its beginning")
{
    WatchedEventfd event;
    REQUIRE(event.arm(EdgeMask::any));
    CHECK(event.watch.reports(EdgeMask::readable));
    CHECK(event.watch.reports(EdgeMask::any));
    CHECK(event.take_reported() == 0);
    REQUIRE(add(event.fd, 1));
    CHECK(event.take_reported() == 1);
    REQUIRE(take(event.fd));
    CHECK(event.take_reported() == 1);
    CHECK_FALSE(event.saw_full_counter);
    REQUIRE(add(event.fd, UINT64_MAX - 1));
    CHECK(event.take_reported() == 1);
    CHECK(event.saw_full_counter);
}

TEST_CASE("an edge watch that becomes one for all edges keeps a pending edge")
{
    WatchedEventfd event;
    REQUIRE(event.arm(EdgeMask::readable));
    REQUIRE(add(event.fd, 1));
    REQUIRE(event.arm(EdgeMask::any));
    CHECK(event.take_reported() == 1);
    // The watch still reports all edges, although only readable edges are wanted now.
    REQUIRE(event.arm(EdgeMask::readable));
    CHECK(event.watch.reports(EdgeMask::any));
}

TEST_CASE("a released edge watch for all edges leaves the epoll set at once")
{
    WatchedEventfd event;
    REQUIRE(event.arm(EdgeMask::any));
    event.watch.release();
    CHECK(event.epoll.watch_count() == 0);
    CHECK_FALSE(event.watch.reports(EdgeMask::readable));
    REQUIRE(add(event.fd, 1));
    CHECK(event.take_reported() == 0);
}

TEST_CASE("a released edge watch for readable edges leaves the epoll set at its next edge")
{
    WatchedEventfd event;
    REQUIRE(event.arm(EdgeMask::readable));
    event.watch.release();
    event.watch.release();
    CHECK(event.epoll.watch_count() == 1);
    CHECK_FALSE(event.watch.reports(EdgeMask::readable));
    const auto mask = GENERATE(EdgeMask::readable, EdgeMask::any);

    SECTION("which is not reported")
    {
        REQUIRE(add(event.fd, 1));
        CHECK(event.take_reported() == 0);
        CHECK(event.epoll.watch_count() == 0);
    }
    SECTION("unless it is armed again before")
    {
        REQUIRE(event.arm(mask));
        CHECK(event.watch.reports(mask));
        REQUIRE(add(event.fd, 1));
        CHECK(event.take_reported() == 1);
        CHECK(event.epoll.watch_count() == 1);
    }
}

} // namespace
} // namespace evfd::daemon
