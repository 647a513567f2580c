// evfd.h: numbers that close(2) closed, which other files have by now.
#include "tests/c/fixture.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <vector>

namespace evfd::e2e {
namespace {

// Of one that is readable, or would be taken for set: `number` is that file from now on.
struct Other {
    std::string what;
    std::function<void(int number)> take_number;
};

void put(int fd, int number)
{
    require(fd >= 0 && ::dup3(fd, number, O_CLOEXEC) == number, "no such file");
    if (fd != number)
        ::close(fd);
}

std::vector<Other> others()
{
    return {
        {"a device", [](int number) { put(::open("/dev/null", O_RDONLY), number); }},
        {"a file", [](int number) { put(::open("/proc/self/status", O_RDONLY), number); }},
        {"a pipe",
         [](int number) {
             std::array<int, 2> ends{};
             require(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe");
             require(::write(ends[1], "some text", 9) == 9, "not written");
             put(ends[0], number);
             ::close(ends[1]);
         }},
        {"a socket",
         [](int number) {
             std::array<int, 2> ends{};
             require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0, "no socket");
             require(::write(ends[1], "some text", 9) == 9, "not written");
             put(ends[0], number);
             ::close(ends[1]);
         }},
        {"nothing", [](int number) { ::close(number); }},
    };
}

TEST_CASE("a number that another file has by now is none of evfd_open()'s")
{
    const Served daemon;
    const int mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    for (const auto& other : others()) {
        INFO(other.what << " in the place of mode " << mode);
        const int fd = make("e", mode);
        other.take_number(fd);

        must_fail(evfd_wait(fd, 0), EBADF);
        must_fail(evfd_wait(fd, EVFD_FOREVER), EBADF);
        must_fail(evfd_is_set(fd), EBADF);
        must_fail(evfd_wait_any(&fd, 1, EVFD_FOREVER, nullptr), EBADF);
        must_fail(evfd_wait_all(&fd, 1, EVFD_FOREVER), EBADF);
        must_fail(evfd_set(fd), EBADF); // Now that it is known.
        must_fail(evfd_clear(fd), EBADF);
        must_fail(evfd_mode(fd), EBADF);
        must_fail(evfd_close(fd), EBADF);
        ::close(fd);
    }
}

TEST_CASE("a look at a number that another file has by now takes nothing of it")
{
    const Served daemon;
    const int fd = make("e");
    others()[2].take_number(fd);

    must_fail(evfd_is_set(fd), EBADF);
    must_fail(evfd_wait(fd, 0), EBADF);

    std::array<char, 16> text{};
    CHECK(::read(fd, text.data(), text.size()) == 9);
    must_fail(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a number that another eventfd has by now is found out when a wait is over in vain")
{
    const Served daemon;
    const int mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE);
    const int fd = make("e", mode);
    put(::eventfd(0, EFD_NONBLOCK), fd);

    must_fail(evfd_wait(fd, 1'000'000), EBADF);
    must_fail(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a timer's number that an eventfd has by now is found out likewise")
{
    const Served daemon;
    const When when{.interval_ns = 3'600'000'000'000};
    const evfd_schedule schedule = when;
    ok(evfd_arm_name("t", &schedule, 0, 0666));
    const int fd = ok(evfd_open("t", 0, 0, 0));
    put(::eventfd(0, EFD_NONBLOCK), fd);

    must_fail(evfd_wait(fd, 1'000'000), EBADF);
    must_fail(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a count that no process has set so often is still one")
{
    const Served daemon;
    const int fd = make("e", EVFD_AUTO);
    constexpr std::uint64_t many = 0x1234'5678'9abc;
    REQUIRE(::write(fd, &many, sizeof many) == sizeof many);

    CHECK(evfd_wait(fd, 0) == 1);

    must_fail(evfd_wait(fd, 0), ETIMEDOUT);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
