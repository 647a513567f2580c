// Tests of facts about epoll(7) and poll(2) that evfdd relies on.
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/skip.h"

#include <sys/eventfd.h>

#include <array>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using probe::add;
using probe::duplicate;
using probe::error_of;
using probe::next_event;
using probe::poll_now;
using probe::read_counter;

constexpr std::uint32_t any_change = EPOLLIN | EPOLLOUT | EPOLLET;

// An unset event in an epoll set. The epoll set reports every change of the event. The first edge
// is already pending, because the addition of the event to the epoll set causes an edge.
struct WatchedEvent {
    explicit WatchedEvent(int flags = 0) : event{::eventfd(0, flags | EFD_NONBLOCK | EFD_CLOEXEC)}
    {
        REQUIRE(add(epoll, event, any_change) == 0);
    }

    UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    UniqueFd event;
};

TEST_CASE("closing a watched descriptor leaves it in the epoll set while a duplicate exists")
{
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    UniqueFd ours{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd client = duplicate(ours);
    REQUIRE(add(epoll, ours, EPOLLIN, 42) == 0);

    ours = UniqueFd{};
    REQUIRE(::eventfd_write(client.get(), 1) == 0);

    const auto edge = next_event(epoll, 0);
    REQUIRE(edge);
    CHECK(edge->token == 42);
}

TEST_CASE("a descriptor removed from the epoll set before its close reports nothing")
{
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    UniqueFd ours{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd client = duplicate(ours);
    REQUIRE(add(epoll, ours, EPOLLIN) == 0);

    REQUIRE(::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, ours.get(), nullptr) == 0);
    ours = UniqueFd{};
    REQUIRE(::eventfd_write(client.get(), 1) == 0);

    CHECK_FALSE(next_event(epoll, 0));
}

TEST_CASE("an event watched for any change reports one initial edge and then nothing")
{
    const WatchedEvent watched;

    const auto first = next_event(watched.epoll, 0);
    REQUIRE(first);
    CHECK(first->events == EPOLLOUT);

    CHECK_FALSE(next_event(watched.epoll, 0));
}

TEST_CASE("an event watched for any change reports every write and read of every holder")
{
    const WatchedEvent watched;
    const UniqueFd client = duplicate(watched.event);
    REQUIRE(next_event(watched.epoll, 0));

    for (int round = 0; round < 3; ++round) {
        REQUIRE(::eventfd_write(client.get(), 1) == 0);
        CHECK(next_event(watched.epoll, 0));
        CHECK_FALSE(next_event(watched.epoll, 0));

        REQUIRE(::eventfd_write(client.get(), 1) == 0);
        CHECK(next_event(watched.epoll, 0));
        CHECK_FALSE(next_event(watched.epoll, 0));

        REQUIRE(read_counter(client) == 2);
        CHECK(next_event(watched.epoll, 0));
        CHECK_FALSE(next_event(watched.epoll, 0));
    }
}

TEST_CASE("an event watched for any change reports a set that was cleared before epoll_wait")
{
    const auto flags = GENERATE(0, EFD_SEMAPHORE);
    const WatchedEvent watched{flags};
    REQUIRE(next_event(watched.epoll, 0));

    for (int round = 0; round < 3; ++round) {
        REQUIRE(::eventfd_write(watched.event.get(), 1) == 0);
        REQUIRE(read_counter(watched.event) == 1);

        // The write and the read together cause one edge. epoll_wait(2) reports the state that the
        // event has now: EPOLLOUT, because the counter has room, but not EPOLLIN, because the event
        // is no longer set.
        const auto edge = next_event(watched.epoll, 0);
        REQUIRE(edge);
        CHECK(edge->events == EPOLLOUT);
        CHECK_FALSE(next_event(watched.epoll, 0));
    }
}

TEST_CASE("a read that finds nothing causes no edge")
{
    const WatchedEvent watched;
    REQUIRE(next_event(watched.epoll, 0));
    std::uint64_t value = 0;

    REQUIRE_FALSE(read_counter(watched.event));
    REQUIRE(error_of(::read(watched.event.get(), &value, sizeof value)) == EAGAIN);

    CHECK_FALSE(next_event(watched.epoll, 0));
}

TEST_CASE("a write that finds no room causes no edge")
{
    const WatchedEvent watched;
    REQUIRE(::eventfd_write(watched.event.get(), UINT64_MAX - 1) == 0);
    REQUIRE(next_event(watched.epoll, 0));

    REQUIRE(error_of(::eventfd_write(watched.event.get(), 1)) == EAGAIN);

    CHECK_FALSE(next_event(watched.epoll, 0));
}

TEST_CASE("a write of zero causes an edge although it sets nothing")
{
    const WatchedEvent watched;
    REQUIRE(next_event(watched.epoll, 0));

    REQUIRE(::eventfd_write(watched.event.get(), 0) == 0);

    const auto edge = next_event(watched.epoll, 0);
    REQUIRE(edge);
    CHECK(edge->events == EPOLLOUT);
    CHECK_FALSE(read_counter(watched.event));
}

TEST_CASE("EPOLL_CTL_MOD with the same events causes one edge, as EPOLL_CTL_ADD does")
{
    const WatchedEvent watched;
    REQUIRE(next_event(watched.epoll, 0));
    epoll_event same{.events = any_change, .data = {}};

    REQUIRE(::epoll_ctl(watched.epoll.get(), EPOLL_CTL_MOD, watched.event.get(), &same) == 0);

    CHECK(next_event(watched.epoll, 0));
    CHECK_FALSE(next_event(watched.epoll, 0));
}

TEST_CASE("an epoll set for EPOLLIN alone misses a set that was cleared at once")
{
    const auto trigger = GENERATE(std::uint32_t{0}, std::uint32_t{EPOLLET});
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    REQUIRE(add(epoll, event, EPOLLIN | trigger) == 0);

    REQUIRE(::eventfd_write(event.get(), 1) == 0);
    REQUIRE(read_counter(event) == 1);

    CHECK_FALSE(next_event(epoll, 0));
}

TEST_CASE("a nested epoll set is readable while an edge in it is pending")
{
    const WatchedEvent inner;
    const UniqueFd outer{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(outer, inner.epoll, EPOLLIN) == 0);
    REQUIRE(next_event(outer, 0));
    REQUIRE(next_event(inner.epoll, 0));
    REQUIRE_FALSE(next_event(outer, 0));

    REQUIRE(::eventfd_write(inner.event.get(), 1) == 0);

    // The outer epoll is level-triggered: it reports the inner epoll until the edge in the inner
    // epoll is consumed.
    CHECK(next_event(outer, 0));
    CHECK(next_event(outer, 0));
    CHECK(next_event(inner.epoll, 0));
    CHECK_FALSE(next_event(outer, 0));
}

TEST_CASE("an epoll set with an event can be polled, and cannot be read or written")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd wait_only{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(wait_only, event, EPOLLIN) == 0);
    CHECK(poll_now(wait_only, POLLIN) == 0);

    REQUIRE(::eventfd_write(event.get(), 1) == 0);

    CHECK(poll_now(wait_only, POLLIN) == POLLIN);
    CHECK(error_of(::eventfd_write(wait_only.get(), 1)) == EINVAL);
    CHECK_FALSE(read_counter(wait_only));
    CHECK(read_counter(event) == 1);
    CHECK(poll_now(wait_only, POLLIN) == 0);
}

TEST_CASE("thousands of epoll sets can watch one event, and one write wakes them all")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    constexpr std::size_t many = 5'000;
    require_descriptors(many + 100);

    std::vector<UniqueFd> handles;
    while (handles.size() < many) {
        handles.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
        REQUIRE(handles.back());
        REQUIRE(add(handles.back(), event, EPOLLIN) == 0);
    }
    REQUIRE(::eventfd_write(event.get(), 1) == 0);

    CHECK(std::ranges::all_of(handles,
                              [](const auto& fd) { return poll_now(fd, POLLIN) == POLLIN; }));
}

TEST_CASE("the 501st epoll set that watches one event cannot be nested in another one")
{
    constexpr std::size_t path_limit = 500;
    require_descriptors(path_limit + 100);
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::array<UniqueFd, 5> clients;
    for (auto& client : clients)
        client = UniqueFd{::epoll_create1(EPOLL_CLOEXEC)};
    std::vector<UniqueFd> handles;
    const auto nest = [&] {
        handles.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
        REQUIRE(add(handles.back(), event, EPOLLIN) == 0);
        return add(clients[handles.size() % clients.size()], handles.back(), EPOLLIN);
    };

    while (handles.size() < path_limit)
        REQUIRE(nest() == 0);

    CHECK(error_of(nest()) == EINVAL);
}

TEST_CASE("an epoll set that is not nested accepts an event with 500 paths, and can be polled")
{
    require_descriptors(1'100);
    const UniqueFd event{::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd outer{::epoll_create1(EPOLL_CLOEXEC)};
    const UniqueFd nested{::epoll_create1(EPOLL_CLOEXEC)};
    const UniqueFd unnested{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(outer, nested, EPOLLIN) == 0);
    std::vector<UniqueFd> holders;
    int failed = 0;
    while (failed == 0 && holders.size() < 1'000) {
        holders.emplace_back(::epoll_create1(EPOLL_CLOEXEC));
        REQUIRE(add(holders.back(), event, EPOLLIN) == 0);
        failed = error_of(add(outer, holders.back(), EPOLLIN));
    }
    REQUIRE(failed == EINVAL);

    CHECK(error_of(add(nested, event, EPOLLIN)) == EINVAL);
    CHECK(add(unnested, event, EPOLLIN) == 0);
    CHECK(poll_now(unnested, POLLIN) == POLLIN);
}

TEST_CASE("epoll_pwait2 does not return before its timeout")
{
    const auto timeout = GENERATE(1ns, 50'001ns, 1'234'567ns, 5'000'000ns);
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    const auto wait = probe::to_timespec(timeout);
    epoll_event event{};

    const auto before = probe::time_of(CLOCK_MONOTONIC);
    const int edge = ::epoll_pwait2(epoll.get(), &event, 1, &wait, nullptr);
    const int error = error_of(edge);
    const auto passed = probe::time_of(CLOCK_MONOTONIC) - before;

    if (error != 0) {
        CHECK(error == ENOSYS);
        skip("no epoll_pwait2(2), which came with Linux 5.11");
    }
    CHECK(edge == 0);
    CHECK(passed.count() >= timeout.count());
}

} // namespace
} // namespace evfd
