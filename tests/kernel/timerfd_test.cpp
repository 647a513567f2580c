// Tests of facts about timerfd_create(2) that evfdd relies on.
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <sys/timerfd.h>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using probe::add;
using probe::await_events;
using probe::deadline_ms;
using probe::duplicate;
using probe::error_of;
using probe::fdinfo;
using probe::next_event;
using probe::poll_now;
using probe::read_counter;

UniqueFd timer(clockid_t clock)
{
    return UniqueFd{::timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC)};
}

// Calls timerfd_settime(2). Returns 0 or -1, as timerfd_settime(2) does.
int arm(const UniqueFd& fd, int flags, std::chrono::nanoseconds first,
        std::chrono::nanoseconds interval = 0ns)
{
    const itimerspec schedule{.it_interval = probe::to_timespec(interval),
                              .it_value = probe::to_timespec(first)};
    return ::timerfd_settime(fd.get(), flags, &schedule, nullptr);
}

// Returns a timerfd that ticks every hour. Eleven ticks are already due, because the first tick was
// ten and a half hours ago. The next tick comes in half an hour.
UniqueFd make_timer_with_eleven_ticks()
{
    auto fd = timer(CLOCK_REALTIME);
    REQUIRE(arm(fd, TFD_TIMER_ABSTIME, probe::time_of(CLOCK_REALTIME) - 10h - 30min, 1h) == 0);
    REQUIRE(await_events(fd, POLLIN));
    return fd;
}

// Waits until CLOCK_MONOTONIC has advanced by `span`.
void wait_for_time(std::chrono::nanoseconds span)
{
    const auto timerfd = timer(CLOCK_MONOTONIC);
    REQUIRE(arm(timerfd, 0, span) == 0);
    REQUIRE(await_events(timerfd, POLLIN));
}

TEST_CASE("preadv2 with RWF_NOWAIT does not wait for a blocking timerfd")
{
    const UniqueFd blocking{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)};

    const auto taken = read_counter(blocking);
    const int error = errno;

    CHECK_FALSE(taken);
    // Before Linux 6.10, preadv2(2) with RWF_NOWAIT cannot read a timerfd at all and fails with
    // EOPNOTSUPP. Therefore evfdd reads its own timerfds with read(2).
    CHECK((error == EAGAIN || error == EOPNOTSUPP));
}

TEST_CASE("one reader of a shared timerfd consumes all ticks, and the other gets none")
{
    const auto one = make_timer_with_eleven_ticks();
    const auto other = duplicate(one);
    std::uint64_t ticks = 0;

    REQUIRE(::read(one.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks == 11);

    CHECK(poll_now(other, POLLIN) == 0);
    CHECK(error_of(::read(other.get(), &ticks, sizeof ticks)) == EAGAIN);
}

TEST_CASE("two timerfds on one grid count their ticks separately")
{
    const auto one = make_timer_with_eleven_ticks();
    const auto other = make_timer_with_eleven_ticks();
    std::uint64_t ticks = 0;

    REQUIRE(::read(one.get(), &ticks, sizeof ticks) == sizeof ticks);

    CHECK(::read(other.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks == 11);
}

TEST_CASE("timerfd_gettime consumes no ticks")
{
    const auto fd = make_timer_with_eleven_ticks();
    itimerspec left{};
    std::uint64_t ticks = 0;

    REQUIRE(::timerfd_gettime(fd.get(), &left) == 0);
    REQUIRE(::timerfd_gettime(fd.get(), &left) == 0);

    CHECK(left.it_interval.tv_sec == 3600);
    CHECK(::read(fd.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks == 11);
}

// The kernel counts an expiration in an interrupt, which comes shortly after the time of the
// expiration. Between this time and the interrupt, timerfd_gettime(2) reports no time left, as for
// a disarmed timer, and the expiration is not counted yet.
TEST_CASE("timerfd_gettime of a timer that is due reports its interval and no time left")
{
    constexpr auto interval = 200us;
    const auto fd = timer(CLOCK_MONOTONIC);
    REQUIRE(arm(fd, 0, interval, interval) == 0);

    bool was_due = false;
    itimerspec left{};
    const auto deadline =
        probe::time_of(CLOCK_MONOTONIC) + std::chrono::milliseconds{probe::deadline_ms};
    while (!was_due && probe::time_of(CLOCK_MONOTONIC) < deadline) {
        REQUIRE(::timerfd_gettime(fd.get(), &left) == 0);
        was_due = left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0;
    }

    CHECK(left.it_interval.tv_nsec == std::chrono::nanoseconds{interval}.count());
    if (!was_due)
        skip("the interrupts of this machine are never late enough to be seen");
}

TEST_CASE("fdinfo shows the ticks, time left and interval of a timer and consumes none")
{
    const auto fd = make_timer_with_eleven_ticks();
    itimerspec left{};
    std::uint64_t ticks = 0;

    // Without a call of the program, the kernel counts only the first tick. read(2) and
    // timerfd_gettime(2) make the kernel count the later ticks.
    CHECK(fdinfo(fd, "ticks") == "1");
    REQUIRE(::timerfd_gettime(fd.get(), &left) == 0);
    CHECK(fdinfo(fd, "ticks") == "11");

    CHECK(fdinfo(fd, "it_interval") == "(3600, 0)");
    CHECK(fdinfo(fd, "it_value").starts_with("("));
    CHECK(fdinfo(fd, "it_value") != "(0, 0)");
    CHECK(::read(fd.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks == 11);
}

TEST_CASE("a periodic timer watched edge-triggered causes one edge if nobody reads it")
{
    const auto fd = timer(CLOCK_MONOTONIC);
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, fd, EPOLLIN | EPOLLET) == 0);
    REQUIRE(arm(fd, 0, 1ms, 1ms) == 0);

    REQUIRE(next_event(epoll, deadline_ms));
    wait_for_time(20ms);

    CHECK_FALSE(next_event(epoll, 0));
}

TEST_CASE("a periodic timer causes an edge after each timerfd_gettime and keeps all its ticks")
{
    const auto fd = timer(CLOCK_MONOTONIC);
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, fd, EPOLLIN | EPOLLET) == 0);
    REQUIRE(arm(fd, 0, 1ms, 1ms) == 0);
    itimerspec left{};
    std::uint64_t ticks = 0;

    constexpr std::uint64_t edges = 10;
    for (std::uint64_t edge = 0; edge < edges; ++edge) {
        REQUIRE(next_event(epoll, deadline_ms));
        REQUIRE(::timerfd_gettime(fd.get(), &left) == 0);
    }

    REQUIRE(::read(fd.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks >= edges);
}

TEST_CASE("a timer that is never read or polled counts each of its periods")
{
    const auto fd = timer(CLOCK_MONOTONIC);
    REQUIRE(arm(fd, 0, 1ms, 1ms) == 0);
    std::uint64_t ticks = 0;

    wait_for_time(20ms);

    REQUIRE(::read(fd.get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks >= 20);
}

} // namespace
} // namespace evfd
