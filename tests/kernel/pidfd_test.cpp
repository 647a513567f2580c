// Tests of facts about pidfds. By a pidfd, evfdd learns that a process has ended, and then ends the
// objects and the holds of the process.
#include "common/socket.h"
#include "tests/support/catch.h"
#include "tests/support/other_process.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <sys/socket.h>

#include <array>
#include <deque>

namespace evfd {
namespace {

TEST_CASE("a pidfd is not readable across execve and becomes readable at the exit of its process")
{
    OtherProcess other;
    other.execute();
    CHECK(probe::poll_now(other.pidfd(), POLLIN) == 0);
    other.kill(); // The killed process is a zombie, because nobody has reaped it.
    CHECK(probe::poll_now(other.pidfd(), POLLIN) == POLLIN);
    other.reap();
    CHECK((probe::poll_now(other.pidfd(), POLLIN) & POLLIN) == POLLIN);
}

TEST_CASE("a pidfd in flight at the exit of its process is readable after its receipt")
{
    OtherProcess other;
    std::array<int, 2> numbers{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, numbers.data()) == 0);
    const UniqueFd from{numbers[0]};
    const UniqueFd to{numbers[1]};
    const std::array fds{other.pidfd().get()};
    REQUIRE(send(from, "x", fds));
    other.kill();
    other.reap();
    std::array<char, 1> text{};
    std::deque<UniqueFd> arrived;
    REQUIRE(receive(to, text, arrived));
    REQUIRE(arrived.size() == 1);
    CHECK((probe::poll_now(arrived.front(), POLLIN) & POLLIN) == POLLIN);
}

TEST_CASE("SO_PEERPIDFD is the process that connected, even if another process has the socket")
{
    OtherProcess other;
    const auto [near, far] = other.connection();
    int number = -1;
    socklen_t size = sizeof number;
    constexpr int so_peerpidfd = 77;
    if (::getsockopt(near.get(), SOL_SOCKET, so_peerpidfd, &number, &size) < 0)
        skip("this kernel has no SO_PEERPIDFD, which came with Linux 6.5");
    const UniqueFd peer{number};
    CHECK(probe::poll_now(peer, POLLIN) == 0);
    other.kill();
    CHECK(probe::poll_now(peer, POLLIN) == POLLIN);
}

} // namespace
} // namespace evfd
