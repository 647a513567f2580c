#include "daemon/objects/edge_watcher.h"

#include "common/eventfd.h"
#include "daemon/limits.h"
#include "tests/support/registry_fixture.h"

namespace evfd::daemon {
namespace {

// An object, an edge watcher, and the number of times that the edge watcher started a delivery.
struct EdgeWatcherFixture {
    Object make_object(std::uint64_t serial)
    {
        return Object{serial,
                      {alice, alice, "0600"_permissions},
                      1,
                      Lifetime::permanent,
                      0,
                      false,
                      *quota.charge(alice, Resource::objects),
                      std::make_unique<Pulse>()};
    }
    void watch(EdgeMask mask)
    {
        REQUIRE(watcher.watch(name, watched, edge_watch, eventfd, mask));
        // A new watch for all edges first reports an edge that no write or read has caused. This
        // call drops that edge.
        watcher.collect();
    }
    // Collects the edges and returns the names of their events.
    std::string collect()
    {
        std::string text;
        for (const auto& edge : watcher.collect())
            text += std::string{edge.name->text()} + " ";
        return text;
    }

    EventLoop loop;
    Quota quota{default_limits};
    int deliveries = 0;
    EdgeWatcher watcher{loop, [this] {
                            ++deliveries;
                            watcher.collect();
                            return false;
                        }};
    Name name = "w"_name;
    UniqueFd eventfd = *make_eventfd(0, Counter::plain);
    EdgeWatch edge_watch;
    Object watched = make_object(1);
};

TEST_CASE("a written eventfd has one edge until it is collected")
{
    EdgeWatcherFixture fixture;
    fixture.watch(GENERATE(EdgeMask::readable, EdgeMask::any));
    CHECK(fixture.collect().empty());
    REQUIRE(add(fixture.eventfd, 1));
    REQUIRE(add(fixture.eventfd, 1));
    CHECK(fixture.collect() == "w ");
    CHECK(fixture.collect().empty());
    CHECK(fixture.deliveries == 0);
}

TEST_CASE("a busy watcher pauses, and edges that come meanwhile are delivered after the pause")
{
    EdgeWatcherFixture fixture;
    fixture.watch(EdgeMask::readable);
    const auto write = [&] {
        REQUIRE(take(fixture.eventfd).has_value());
        REQUIRE(add(fixture.eventfd, 1));
    };
    const auto begin = monotonic_now();
    REQUIRE(add(fixture.eventfd, 1));
    for (int i = 1; i <= 20; ++i) {
        while (fixture.deliveries < i)
            REQUIRE(fixture.loop.run_once(std::nullopt));
        write();
    }
    CHECK(fixture.deliveries == 20);
    const auto most = (monotonic_now() - begin) / nanoseconds{min_edge_interval} + 2;
    CHECK(fixture.deliveries <= most);
}

} // namespace
} // namespace evfd::daemon
