#include "common/process.h"
#include "tests/support/catch.h"
#include "tests/support/other_process.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace evfd {
namespace {

nanoseconds now()
{
    return now_on(Clock::boottime);
}

int error_of(const Result<UniqueFd>& process)
{
    return process ? 0 : process.error().error;
}

TEST_CASE("the peer of a connection is the process that created it, until it ends")
{
    OtherProcess other;
    const auto [near, far] = other.connection();
    const auto peer = open_peer_pidfd(near, other.pid(), now());
    REQUIRE(peer);
    CHECK_FALSE(has_exited(*peer));
    other.kill();
    CHECK(has_exited(*peer));
    CHECK(error_of(open_peer_pidfd(near, other.pid(), now())) == ESRCH);
    const auto pid = other.pid();
    other.reap();
    CHECK(error_of(open_peer_pidfd(near, pid, now())) == ESRCH);
}

TEST_CASE("a process is found by its pid if it started before the given time")
{
    OtherProcess other;
    const auto later = now();
    CHECK(open_pidfd(other.pid(), later));
    // The time 0 is the boot of the machine. The process started later, so open_pidfd() does not
    // find it.
    CHECK(error_of(open_pidfd(other.pid(), nanoseconds{0})) == ESRCH);
    const auto pid = other.pid();
    other.kill();
    CHECK(error_of(open_pidfd(pid, later)) == ESRCH);
    other.reap();
    CHECK(error_of(open_pidfd(pid, later)) == ESRCH);
}

TEST_CASE("a process survives the execution of another program")
{
    const OtherProcess other;
    other.execute();
    CHECK_FALSE(has_exited(other.pidfd()));
}

TEST_CASE("a pidfd is distinguished from other descriptors, also after its process ended")
{
    OtherProcess other;
    CHECK(is_pidfd(other.pidfd()));
    other.kill();
    CHECK(is_pidfd(other.pidfd()));
    other.reap();
    CHECK(is_pidfd(other.pidfd()));
    const auto self = open_pidfd(::getpid(), now());
    REQUIRE(self);
    CHECK(is_pidfd(*self));
    CHECK_FALSE(is_pidfd(UniqueFd{::eventfd(0, EFD_CLOEXEC)}));
    CHECK_FALSE(is_pidfd(UniqueFd{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)}));
    CHECK_FALSE(is_pidfd(UniqueFd{::epoll_create1(EPOLL_CLOEXEC)}));
    CHECK_FALSE(is_pidfd(UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}));
    CHECK_FALSE(is_pidfd(UniqueFd{}));
}

} // namespace
} // namespace evfd
