#include "daemon/base/event_loop.h"

#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/service_fixture.h"

#include <fcntl.h>
#include <sys/epoll.h>

namespace evfd::daemon {
namespace {

UniqueFd event(unsigned initial = 0)
{
    return *make_eventfd(initial, Counter::plain);
}

// An eventfd and a watch that counts the calls of its callback.
struct Watched {
    explicit Watched(EventLoop& loop, unsigned initial = 1)
        : fd{event(initial)}, watch{*loop.watch(fd, EPOLLIN, [this](std::uint32_t) {
              ++calls;
              // Calls a copy of `then`, because the call can destroy this object.
              if (const auto last = then)
                  last();
          })}
    {
    }
    int calls = 0;
    std::function<void()> then;
    UniqueFd fd;
    EventLoop::Watch watch; // Declared after fd, so that the watch is destroyed first.
};

TEST_CASE("a loop without work ends its iteration after the timeout")
{
    EventLoop loop;
    CHECK(loop.run_once(0ns) == 0U);
}

TEST_CASE("a watch is called with its events")
{
    EventLoop loop;
    const auto fd = event(1);
    std::uint32_t seen = 0;
    const auto watch =
        loop.watch(fd, EPOLLIN | EPOLLOUT, [&](std::uint32_t events) { seen = events; });
    REQUIRE(watch);

    CHECK(loop.run_once(0ns) == 1U);
    CHECK(seen == (EPOLLIN | EPOLLOUT));
}

TEST_CASE("a change of the watched events takes effect at once")
{
    EventLoop loop;
    Watched watched{loop};

    REQUIRE(watched.watch.change(0));
    run_until_idle(loop);
    CHECK(watched.calls == 0);

    REQUIRE(watched.watch.change(EPOLLIN));
    run_iterations(loop, 1);
    CHECK(watched.calls == 1);
}

TEST_CASE("watching an unsupported descriptor is a fault and leaves the loop unchanged")
{
    EventLoop loop;
    const auto refused = loop.watch(UniqueFd{}, EPOLLIN, [](std::uint32_t) {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == EBADF);

    Watched watched{loop};
    run_iterations(loop, 1);
    CHECK(watched.calls == 1);
}

TEST_CASE("a destroyed watch is not called although a client keeps a duplicate of its descriptor")
{
    EventLoop loop;
    auto watched = std::make_unique<Watched>(loop, 0);
    const auto client = *duplicate(watched->fd);

    watched.reset();
    REQUIRE(add(client, 1));

    CHECK(loop.run_once(0ns) == 0U);
}

TEST_CASE("a fetched event is dropped if its watch was destroyed since")
{
    EventLoop loop;
    std::array<std::unique_ptr<Watched>, 2> both;
    int calls = 0;
    for (std::size_t i = 0; i < 2; ++i) {
        both[i] = std::make_unique<Watched>(loop);
        both[i]->then = [&, i] {
            ++calls;
            both[1 - i].reset();
        };
    }

    CHECK(loop.run_once(0ns) == 2U); // The loop fetched the events of both watches.
    CHECK(calls == 1);               // The first callback destroyed the other watch.
}

TEST_CASE("a stale event does not reach a later watch in the same slot")
{
    EventLoop loop;
    std::array<std::unique_ptr<Watched>, 2> both;
    std::unique_ptr<Watched> later;
    for (std::size_t i = 0; i < 2; ++i) {
        both[i] = std::make_unique<Watched>(loop);
        both[i]->then = [&, i] {
            both[1 - i].reset();
            later = std::make_unique<Watched>(loop, 0);
        };
    }

    REQUIRE(loop.run_once(0ns) == 2U);
    REQUIRE(later);
    CHECK(later->calls == 0);
}

TEST_CASE("a callback may destroy its own watch and continue")
{
    EventLoop loop;
    auto watched = std::make_unique<Watched>(loop);
    const std::string long_enough_to_be_on_the_heap(100, 'x');
    std::string after;
    watched->then = [&, captured = long_enough_to_be_on_the_heap] {
        watched.reset();
        after = long_enough_to_be_on_the_heap;
    };

    REQUIRE(loop.run_once(0ns) == 1U);
    CHECK(after == long_enough_to_be_on_the_heap);
    CHECK(loop.run_once(0ns) == 0U);
}

TEST_CASE("the captures of a callback live until it returns")
{
    EventLoop loop;
    const auto fd = event(1);
    std::optional<EventLoop::Watch> watch;
    const auto captured = std::make_shared<int>(42);
    int seen = 0;
    watch.emplace(*loop.watch(fd, EPOLLIN, [&, captured](std::uint32_t) {
        watch.reset();
        seen = *captured;
    }));

    REQUIRE(loop.run_once(0ns) == 1U);
    CHECK(seen == 42);
    CHECK(captured.use_count() == 1); // The callback was kept only until the end of the iteration.
}

TEST_CASE("descriptors beyond one fetch are all served")
{
    EventLoop loop;
    constexpr auto many = EventLoop::batch + 10;
    std::deque<Watched> all;
    for (std::size_t i = 0; i < many; ++i)
        all.emplace_back(loop);

    CHECK(loop.run_once(0ns) == EventLoop::batch);
    CHECK(loop.run_once(0ns) == EventLoop::batch);
    for (const auto& watched : all)
        CHECK(watched.calls > 0);
}

TEST_CASE("a moved watch is called once and destroyed once")
{
    EventLoop loop;
    const auto one = event(1);
    const auto two = event(1);
    int ones = 0;
    int twos = 0;
    auto first = *loop.watch(one, EPOLLIN, [&](std::uint32_t) { ++ones; });
    {
        auto second = *loop.watch(two, EPOLLIN, [&](std::uint32_t) { ++twos; });
        // The assignment moves the watch of the eventfd `one` into `second`. The assignment either
        // ends the watch of the eventfd `two` or moves it into `first`.
        second = std::move(first);
        run_iterations(loop, 1);
        CHECK(ones == 1);
    }
    run_iterations(loop, 1);
    CHECK(ones == 1);
}

TEST_CASE("timeouts run in the order of their times, once and never early")
{
    EventLoop loop;
    std::string fired;
    const auto now = monotonic_now();
    const auto second = loop.add_timeout(now - 1ms, [&] { fired += '2'; });
    const auto first = loop.add_timeout(now - 2ms, [&] { fired += '1'; });
    const auto never = loop.add_timeout(now + 1h, [&] { fired += '3'; });

    run_iterations(loop, 3);
    CHECK(fired == "12");
}

TEST_CASE("the loop wakes up for a timeout without any descriptor event")
{
    EventLoop loop;
    const auto due = monotonic_now() + 2ms;
    MonotonicTime fired{};
    const auto timeout = loop.add_timeout(due, [&] { fired = monotonic_now(); });

    while (fired == MonotonicTime{})
        REQUIRE(loop.run_once(20s));
    CHECK(fired >= due);
}

TEST_CASE("a destroyed timeout does not run")
{
    EventLoop loop;
    int calls = 0;
    {
        const auto timeout = loop.add_timeout(monotonic_now() - 1ms, [&] { ++calls; });
    }
    run_iterations(loop, 2);
    CHECK(calls == 0);
}

TEST_CASE("a timeout may destroy itself and another one that is due")
{
    EventLoop loop;
    std::string fired;
    std::optional<EventLoop::Timeout> one;
    std::optional<EventLoop::Timeout> other;
    one.emplace(loop.add_timeout(monotonic_now() - 2ms, [&, captured = std::make_shared<int>(1)] {
        one.reset();
        other.reset();
        fired += std::to_string(*captured);
    }));
    other.emplace(loop.add_timeout(monotonic_now() - 1ms, [&] { fired += 'x'; }));

    run_iterations(loop, 2);
    CHECK(fired == "1");
}

TEST_CASE("a deferred task runs at the end of the iteration, and one that it defers in the next")
{
    EventLoop loop;
    std::string ran;
    Watched watched{loop};
    watched.then = [&] {
        loop.defer([&] {
            ran += "b";
            loop.defer([&] { ran += "c"; });
        });
        ran += "a";
        REQUIRE(watched.watch.change(0));
    };

    run_iterations(loop, 1);
    CHECK(ran == "ab");
    REQUIRE(loop.run_once(20s)); // The call returns at once, because a function is deferred.
    CHECK(ran == "abc");
}

TEST_CASE("a loop can be watched by another")
{
    EventLoop outer;
    EventLoop inner;
    Watched watched{inner, 0};
    const auto watch = outer.watch(inner, [&](std::uint32_t) { REQUIRE(inner.run_once(0ns)); });

    run_until_idle(outer);
    CHECK(watched.calls == 0);
    REQUIRE(add(watched.fd, 1));
    run_iterations(outer, 1);
    CHECK(watched.calls == 1);
}

TEST_CASE("an inner loop may be dispatched by a callback that destroys its watch in the outer loop")
{
    EventLoop outer;
    EventLoop inner;
    Watched in{inner};
    auto out = std::make_unique<Watched>(outer);
    out->then = [&] {
        out.reset();
        run_iterations(inner, 1);
    };

    run_iterations(outer, 2);
    CHECK(in.calls == 1);
}

TEST_CASE("a loop sleeps beside an idle inner loop and wakes up for a busy one")
{
    EventLoop outer;
    EventLoop inner;
    int calls = 0;
    const auto watch = outer.watch(inner, [&](std::uint32_t) {
        ++calls;
        REQUIRE(inner.poll());
    });
    CHECK(outer.run_once(1ms) == 0U);

    Watched watched{inner};
    CHECK(outer.run_once(20s) == 1U);

    CHECK(calls == 1);
    CHECK(watched.calls == 1);
}

TEST_CASE("an inner loop that is watched through 500 foreign epolls can be watched")
{
    const auto fd = event(1);
    std::vector<UniqueFd> handles;
    const UniqueFd theirs{::epoll_create1(EPOLL_CLOEXEC)};
    int failed = 0;
    while (failed == 0) {
        REQUIRE(handles.size() < 1'000);
        handles.push_back(make_wait_only(fd).value());
        epoll_event wanted{.events = EPOLLIN, .data = {}};
        if (::epoll_ctl(theirs.get(), EPOLL_CTL_ADD, handles.back().get(), &wanted) < 0)
            failed = errno;
    }
    // The `while` loop has reached the kernel's limit on the number of paths through nested epolls.
    REQUIRE(failed == EINVAL);

    EventLoop outer;
    EventLoop inner;
    const auto watch = outer.watch(inner, [&](std::uint32_t) { REQUIRE(inner.poll()); });
    int calls = 0;
    const auto watched = inner.watch(fd, EPOLLIN | EPOLLET, [&](std::uint32_t) { ++calls; });
    REQUIRE(watched);
    run_iterations(outer, 1);
    CHECK(calls == 1);
}

// Runs `scene` in a child process, since the effects of `scene` cannot be undone. Returns 0, or the
// number of the line that failed.
template <class Scene>
int without_room_in_epoll_sets(Scene scene)
{
    constexpr int cannot = 255;
    const int outcome = probe::in_child([&] { return exhaust_epoll_watches() ? scene() : cannot; });
    if (outcome == cannot)
        skip("seccomp(2) cannot be used");
    return outcome;
}

TEST_CASE("a watch without room in the epoll set is polled")
{
    CHECK(without_room_in_epoll_sets([] {
              EventLoop loop;
              Watched one{loop, 0};
              Watched other{loop, 1};
              if (loop.run_once(20s) != 1U || one.calls != 0 || other.calls != 1)
                  return __LINE__;
              if (!take(other.fd) || !add(one.fd, 1))
                  return __LINE__;
              if (loop.run_once(20s) != 1U || one.calls != 1 || other.calls != 1)
                  return __LINE__;
              if (!one.watch.change(0) || loop.run_once(0ns) != 0U)
                  return __LINE__;
              return 0;
          }) == 0);
}

TEST_CASE("a polled edge watch is reported again only after an interval")
{
    CHECK(without_room_in_epoll_sets([] {
              EventLoop loop;
              Watched watched{loop, 1};
              if (!watched.watch.change(EPOLLIN | EPOLLET))
                  return __LINE__;
              if (loop.run_once(20s) != 1U || loop.run_once(0ns) != 0U || watched.calls != 1)
                  return __LINE__;
              while (watched.calls < 2)
                  if (!loop.run_once(20s))
                      return __LINE__;
              return 0;
          }) == 0);
}

TEST_CASE("an edge watch that cannot be polled is refused without room in the epoll set")
{
    CHECK(without_room_in_epoll_sets([] {
              EventLoop loop;
              const auto fd = event(1);
              const auto watch = loop.watch(fd, EPOLLIN | EPOLLET, [](std::uint32_t) {});
              return watch || watch.error().error != ENOSPC ? __LINE__ : 0;
          }) == 0);
}

TEST_CASE("a destroyed polled watch is not called, and its slot is used again")
{
    CHECK(without_room_in_epoll_sets([] {
              EventLoop loop;
              auto destroyed = std::make_unique<Watched>(loop, 1);
              Watched stays{loop, 0};
              destroyed.reset();
              if (loop.run_once(0ns) != 0U || !add(stays.fd, 1))
                  return __LINE__;
              const Watched next{loop, 1};
              if (loop.run_once(0ns) != 2U || stays.calls != 1 || next.calls != 1)
                  return __LINE__;
              return 0;
          }) == 0);
}

TEST_CASE("changing an unsupported watch is a fault and leaves the watch unchanged")
{
    EventLoop loop;
    Watched watched{loop};
    // epoll_ctl(2) allows EPOLLEXCLUSIVE only for a new watch.
    const auto changed = watched.watch.change(EPOLLIN | EPOLLEXCLUSIVE);
    REQUIRE_FALSE(changed);
    CHECK(changed.error().error == EINVAL);
    run_iterations(loop, 1);
    CHECK(watched.calls == 1);
}

TEST_CASE("run() iterates until it is stopped")
{
    EventLoop loop;
    Watched watched{loop};
    watched.then = [&] {
        if (watched.calls == 3)
            loop.stop();
    };

    REQUIRE(loop.run());
    CHECK(watched.calls == 3);
}

} // namespace
} // namespace evfd::daemon
