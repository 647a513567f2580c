// Tests of facts about eventfd(2) that evfdd relies on.
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace evfd {
namespace {

using probe::duplicate;
using probe::error_of;
using probe::fdinfo;
using probe::poll_now;
using probe::read_counter;

constexpr std::uint64_t max_count = UINT64_MAX - 1;

// Compares two descriptors by kcmp(2). Returns 0 for the same open file, 1 to 3 for different
// files, and -1 with errno on failure.
long compare(const UniqueFd& left, const UniqueFd& right)
{
    const pid_t self = ::getpid();
    return ::syscall(SYS_kcmp, self, self, KCMP_FILE, left.get(), right.get());
}

TEST_CASE("clearing O_NONBLOCK on a duplicate of an eventfd clears it for all duplicates")
{
    const UniqueFd ours{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd client = duplicate(ours);
    REQUIRE((::fcntl(ours.get(), F_GETFL) & O_NONBLOCK) != 0);

    REQUIRE(::fcntl(client.get(), F_SETFL, 0) == 0);

    CHECK((::fcntl(ours.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("preadv2 with RWF_NOWAIT does not wait for a blocking eventfd")
{
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};

    const auto taken = read_counter(event);
    const int error = errno;

    CHECK_FALSE(taken);
    CHECK(error == EAGAIN);
}

TEST_CASE("preadv2 consumes all of a plain eventfd and one of a semaphore")
{
    const auto [flags, taken, left] = GENERATE(table<int, std::uint64_t, std::string>({
        {0, 3, "0"},
        {EFD_SEMAPHORE, 1, "2"},
    }));
    const UniqueFd event{::eventfd(3, flags | EFD_CLOEXEC)};

    CHECK(read_counter(event) == taken);

    CHECK(fdinfo(event, "eventfd-count") == left);
}

TEST_CASE("pwritev2 with RWF_NOWAIT is not supported by an eventfd")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    std::uint64_t one = 1;
    const iovec from{.iov_base = &one, .iov_len = sizeof one};

    CHECK(error_of(::pwritev2(event.get(), &from, 1, -1, RWF_NOWAIT)) == EOPNOTSUPP);

    CHECK_FALSE(read_counter(event));
}

TEST_CASE("one write can raise an eventfd to 2^64-2, where it is readable and not writable")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    CHECK(poll_now(event, POLLIN | POLLOUT) == POLLOUT);

    REQUIRE(::eventfd_write(event.get(), max_count) == 0);

    CHECK(poll_now(event, POLLIN | POLLOUT) == POLLIN);
    CHECK(error_of(::eventfd_write(event.get(), 1)) == EAGAIN);
    CHECK(read_counter(event) == max_count);
}

TEST_CASE("an eventfd accepts a write of zero and stays unset, and rejects 2^64-1")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};

    CHECK(::eventfd_write(event.get(), 0) == 0);
    CHECK(poll_now(event, POLLIN) == 0);

    CHECK(error_of(::eventfd_write(event.get(), UINT64_MAX)) == EINVAL);
    CHECK(poll_now(event, POLLIN) == 0);
}

TEST_CASE("fdinfo shows the count of an eventfd in hex and consumes nothing")
{
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    REQUIRE(::eventfd_write(event.get(), 0x1234abcd) == 0);

    CHECK(fdinfo(event, "eventfd-count") == "1234abcd");

    CHECK(read_counter(event) == 0x1234abcd);
}

TEST_CASE("all eventfds share one inode, and eventfd-id distinguishes them")
{
    const UniqueFd one{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd other{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd one_again = duplicate(one);

    struct stat of_one{};
    struct stat of_other{};
    REQUIRE(::fstat(one.get(), &of_one) == 0);
    REQUIRE(::fstat(other.get(), &of_other) == 0);
    CHECK(of_one.st_ino == of_other.st_ino);
    CHECK(of_one.st_dev == of_other.st_dev);

    const auto id = fdinfo(one, "eventfd-id");
    CHECK_FALSE(id.empty());
    CHECK(id == fdinfo(one_again, "eventfd-id"));
    CHECK(id != fdinfo(other, "eventfd-id"));
}

TEST_CASE("kcmp distinguishes eventfds and recognizes a duplicate")
{
    const UniqueFd one{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd other{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd one_again = duplicate(one);

    const auto same = compare(one, one_again);
    const int error = error_of(same);
    if (error != 0) {
        // The kernel has no kcmp(2), or a sandbox forbids kcmp(2). Without kcmp(2), a program can
        // still compare eventfds by the field eventfd-id in /proc/PID/fdinfo.
        CHECK((error == ENOSYS || error == EPERM));
        skip("kcmp(2) fails here with errno " + std::to_string(error));
    }

    CHECK(same == 0);
    CHECK(compare(one, other) > 0);
}

} // namespace
} // namespace evfd
