// Tests of evfd.h with descriptors that the program closed by close(2) instead of evfd_close(), and
// whose numbers then refer to other files.
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

// `occupy` closes an event's descriptor. In every case except one, it also gives the number of the
// descriptor to another file. poll(2) reports each of these files as readable. If the library only
// polled the number, it would therefore report the event as set.
struct Replacement {
    std::string description;
    std::function<void(int number)> occupy;
};

void move_to_number(int fd, int number)
{
    require(fd >= 0 && ::dup3(fd, number, O_CLOEXEC) == number, "no such file");
    if (fd != number)
        ::close(fd);
}

std::vector<Replacement> replacements()
{
    return {
        {"a device", [](int number) { move_to_number(::open("/dev/null", O_RDONLY), number); }},
        {"a file",
         [](int number) { move_to_number(::open("/proc/self/status", O_RDONLY), number); }},
        {"a pipe",
         [](int number) {
             std::array<int, 2> ends{};
             require(::pipe2(ends.data(), O_CLOEXEC) == 0, "no pipe");
             require(::write(ends[1], "some text", 9) == 9, "not written");
             move_to_number(ends[0], number);
             ::close(ends[1]);
         }},
        {"a socket",
         [](int number) {
             std::array<int, 2> ends{};
             require(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0, "no socket");
             require(::write(ends[1], "some text", 9) == 9, "not written");
             move_to_number(ends[0], number);
             ::close(ends[1]);
         }},
        {"nothing", [](int number) { ::close(number); }},
    };
}

TEST_CASE("a descriptor number reused by another file is rejected by every function")
{
    const ConnectedDaemon daemon;
    const int mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE, EVFD_PULSE);
    for (const auto& replacement : replacements()) {
        INFO(replacement.description << " instead of mode " << mode);
        const int fd = create_event("e", mode);
        replacement.occupy(fd);

        expect_error(evfd_wait(fd, 0), EBADF);
        expect_error(evfd_wait(fd, EVFD_FOREVER), EBADF);
        expect_error(evfd_is_set(fd), EBADF);
        expect_error(evfd_wait_any(&fd, 1, EVFD_FOREVER, nullptr), EBADF);
        expect_error(evfd_wait_all(&fd, 1, EVFD_FOREVER), EBADF);
        // The failed calls have shown to the library that the number no longer refers to the event.
        // Now evfd_set() fails too.
        expect_error(evfd_set(fd), EBADF);
        expect_error(evfd_clear(fd), EBADF);
        expect_error(evfd_get_mode(fd), EBADF);
        expect_error(evfd_close(fd), EBADF);
        ::close(fd);
    }
}

TEST_CASE("evfd_is_set() on a number reused by another file reads nothing from it")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e");
    replacements()[2].occupy(fd);

    expect_error(evfd_is_set(fd), EBADF);
    expect_error(evfd_wait(fd, 0), EBADF);

    std::array<char, 16> text{};
    CHECK(::read(fd, text.data(), text.size()) == 9);
    expect_error(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a number reused by another eventfd is detected when a wait times out")
{
    const ConnectedDaemon daemon;
    const int mode = GENERATE(EVFD_MANUAL, EVFD_AUTO, EVFD_SEMAPHORE);
    const int fd = create_event("e", mode);
    move_to_number(::eventfd(0, EFD_NONBLOCK), fd);

    expect_error(evfd_wait(fd, 1'000'000), EBADF);
    expect_error(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a timer's number reused by an eventfd is detected when a wait times out")
{
    const ConnectedDaemon daemon;
    const ScheduleSpec when{.interval_ns = 3'600'000'000'000};
    const evfd_schedule schedule = when;
    ok(evfd_arm_name("t", &schedule, 0, 0666));
    const int fd = ok(evfd_open("t", 0, 0, 0));
    move_to_number(::eventfd(0, EFD_NONBLOCK), fd);

    expect_error(evfd_wait(fd, 1'000'000), EBADF);
    expect_error(evfd_close(fd), EBADF);
    ::close(fd);
}

TEST_CASE("a wait for an auto event returns 1 for any count that was written to it")
{
    const ConnectedDaemon daemon;
    const int fd = create_event("e", EVFD_AUTO);
    constexpr std::uint64_t many = 0x1234'5678'9abc;
    REQUIRE(::write(fd, &many, sizeof many) == sizeof many);

    CHECK(evfd_wait(fd, 0) == 1);

    expect_error(evfd_wait(fd, 0), ETIMEDOUT);
    CHECK(evfd_close(fd) == 0);
}

} // namespace
} // namespace evfd::e2e
