#include "common/aio.h"
#include "common/eventfd.h"
#include "tests/support/catch.h"
#include "tests/support/resource_limits.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace evfd {
namespace {

// The highest value to which write(2) can fill a counter.
constexpr std::uint64_t max_count = 0xffff'ffff'ffff'fffe;

UniqueFd event(unsigned initial, Counter counter = Counter::plain)
{
    auto fd = make_eventfd(initial, counter);
    REQUIRE(fd);
    return *std::move(fd);
}

UniqueFd wait_only(const UniqueFd& fd)
{
    auto handle = make_wait_only(fd);
    REQUIRE(handle);
    return *std::move(handle);
}

// Clears O_NONBLOCK for all descriptors of the eventfd, as a client can through its own descriptor.
void clear_nonblock(const UniqueFd& fd)
{
    const auto holder = duplicate(fd);
    REQUIRE(holder);
    REQUIRE(::fcntl(holder->get(), F_SETFL, 0) == 0);
    REQUIRE((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0);
}

bool is_close_on_exec(const UniqueFd& fd)
{
    return (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0;
}

TEST_CASE("an eventfd starts with its initial count, non-blocking and closed on exec")
{
    const auto fd = event(5);

    CHECK(count(fd) == 5U);
    CHECK((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK(is_close_on_exec(fd));
    CHECK(count(event(4'294'967'295)) == 4'294'967'295U);
}

TEST_CASE("a take from a plain counter returns the whole count, then nothing")
{
    const auto fd = event(3);

    CHECK(take(fd) == 3U);
    CHECK(take(fd) == 0U);
    CHECK(count(fd) == 0U);
}

TEST_CASE("a take from a semaphore returns one token until none is left")
{
    const auto fd = event(2, Counter::semaphore);

    CHECK(take(fd) == 1U);
    CHECK(count(fd) == 1U);
    CHECK(take(fd) == 1U);
    CHECK(take(fd) == 0U);
}

TEST_CASE("added tokens are counted, read and taken")
{
    const auto fd = event(0);
    CHECK_FALSE(is_readable(fd));

    REQUIRE(add(fd, 2));
    REQUIRE(add(fd, 40));

    CHECK(is_readable(fd));
    CHECK(is_readable(fd)); // A poll consumes nothing.
    CHECK(count(fd) == 42U);
    CHECK(count(fd) == 42U); // Reading the count consumes nothing either.
    CHECK(take(fd) == 42U);
    CHECK_FALSE(is_readable(fd));
}

TEST_CASE("a take does not block after a holder cleared O_NONBLOCK")
{
    const auto counter = GENERATE(Counter::plain, Counter::semaphore);
    const auto fd = event(1, counter);
    clear_nonblock(fd);

    CHECK(take(fd) == 1U);
    CHECK(take(fd) == 0U);
    CHECK_FALSE(is_readable(fd));
    CHECK(count(fd) == 0U);
    REQUIRE(add(fd, 1));
    CHECK(is_readable(fd));
}

TEST_CASE("a full counter is set, can be taken and has no room")
{
    const auto fd = event(0);
    REQUIRE(add(fd, max_count));

    const auto more = add(fd, 1);

    REQUIRE_FALSE(more);
    CHECK(more.error().error == EAGAIN);
    CHECK(is_readable(fd));
    CHECK(count(fd) == max_count);
    CHECK(take(fd) == max_count);
    CHECK_FALSE(is_readable(fd));
    CHECK(add(fd, 1));
}

TEST_CASE("a full semaphore returns one token at a time")
{
    const auto fd = event(0, Counter::semaphore);
    REQUIRE(add(fd, max_count));

    CHECK(take(fd) == 1U);
    CHECK(count(fd) == max_count - 1);
    CHECK(add(fd, 1));
    CHECK_FALSE(add(fd, 1));
}

TEST_CASE("a full counter that a holder made blocking is read and taken without blocking")
{
    const auto fd = event(0);
    REQUIRE(add(fd, max_count));
    clear_nonblock(fd);

    CHECK(is_readable(fd));
    CHECK(count(fd) == max_count);
    CHECK(take(fd) == max_count);
    CHECK(take(fd) == 0U);
}

// Only the kernel itself can raise a counter above `max_count`. The eventfd then reports POLLERR.
TEST_CASE("a counter beyond full is set and taken like any other")
{
    const auto aio = Aio::create(1);
    if (!aio)
        skip("no AIO: " + aio.error().message());
    const auto fd = event(0);
    REQUIRE(add(fd, max_count));
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    char byte = 0;
    iocb request{};
    request.aio_lio_opcode = IOCB_CMD_PREAD;
    request.aio_fildes = static_cast<std::uint32_t>(null.get());
    request.aio_buf = reinterpret_cast<std::uintptr_t>(&byte);
    request.aio_nbytes = 1;
    request.aio_flags = IOCB_FLAG_RESFD;
    request.aio_resfd = static_cast<std::uint32_t>(fd.get());
    std::array<iocb*, 1> requests{&request};
    REQUIRE(aio->submit(requests) == 1U);

    CHECK(count(fd) == max_count + 1);
    CHECK(is_readable(fd));
    CHECK(is_readable(wait_only(fd)));
    CHECK(take(fd) == max_count + 1);
    CHECK_FALSE(is_readable(fd));
}

TEST_CASE("an addition beyond the capacity of a counter is refused")
{
    const auto fd = event(0);
    const auto added = add(fd, max_count + 1);

    REQUIRE_FALSE(added);
    CHECK(added.error().error == EINVAL);
    CHECK(count(fd) == 0U);
}

TEST_CASE("a duplicate refers to the same event, has its own lifetime and is close-on-exec")
{
    auto fd = event(0);
    const auto other = duplicate(fd);
    REQUIRE(other);
    CHECK(other->get() != fd.get());
    CHECK(is_close_on_exec(*other));

    REQUIRE(add(fd, 7));
    fd = {};

    CHECK(take(*other) == 7U);
}

TEST_CASE("a wait-only handle is readable while its event is")
{
    const auto fd = event(0);
    const auto handle = wait_only(fd);
    CHECK_FALSE(is_readable(handle));

    REQUIRE(add(fd, 1));
    CHECK(is_readable(handle));
    CHECK(is_readable(handle));
    CHECK(count(fd) == 1U);

    REQUIRE(take(fd) == 1U);
    CHECK_FALSE(is_readable(handle));
}

TEST_CASE(
    "a wait-only handle stays ready for as long as its event is set, however often it is polled")
{
    const auto fd = event(1);
    const auto handle = wait_only(fd);
    epoll_event event_record{};

    CHECK(::epoll_wait(handle.get(), &event_record, 1, 0) == 1);
    CHECK(::epoll_wait(handle.get(), &event_record, 1, 0) == 1);
    CHECK(is_readable(handle));

    REQUIRE(take(fd) == 1U);
    CHECK(::epoll_wait(handle.get(), &event_record, 1, 0) == 0);
}

TEST_CASE("a wait-only handle of a set event is readable at once")
{
    CHECK_FALSE(is_readable(wait_only(event(0))));
    const auto fd = event(1, Counter::semaphore);
    CHECK(is_readable(wait_only(fd)));
}

TEST_CASE("an event can be neither written nor read through its wait-only handle")
{
    const auto fd = event(1);
    const auto handle = wait_only(fd);
    CHECK(is_close_on_exec(handle));

    const auto added = add(handle, 1);
    REQUIRE_FALSE(added);
    CHECK(added.error().error == EINVAL);
    CHECK_FALSE(take(handle));
    CHECK(count(fd) == 1U);
}

TEST_CASE("a wait-only handle works after a holder cleared O_NONBLOCK")
{
    const auto fd = event(0);
    clear_nonblock(fd);
    const auto handle = wait_only(fd);
    CHECK_FALSE(is_readable(handle));

    REQUIRE(add(fd, 1));

    CHECK(is_readable(handle));
}

TEST_CASE("a wait-only handle reports nothing once every descriptor of its event is closed")
{
    auto fd = event(1);
    auto other = *duplicate(fd);
    const auto handle = wait_only(fd);

    fd = {};
    CHECK(is_readable(handle));
    other = {};
    CHECK_FALSE(is_readable(handle));
}

TEST_CASE("a descriptor of another kind has no count")
{
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    REQUIRE(null);

    const auto counted = count(null);

    REQUIRE_FALSE(counted);
    CHECK(counted.error().error == EBADMSG);
}

TEST_CASE("a closed descriptor is a fault and not a count")
{
    const UniqueFd none;

    CHECK(take(none).error().error == EBADF);
    CHECK(add(none, 1).error().error == EBADF);
    CHECK(duplicate(none).error().error == EBADF);
    CHECK(make_wait_only(none).error().error == EBADF);
    CHECK(count(none).error().error == ENOENT);
    CHECK(make_nonblocking(none).error().error == EBADF);
    CHECK_FALSE(is_readable(none));
}

TEST_CASE("calls that need a new descriptor fail without one, and all others work")
{
    const auto fd = event(3);
    const DescriptorLimit limit{3};

    CHECK(make_eventfd(0, Counter::plain).error().error == EMFILE);
    CHECK(duplicate(fd).error().error == EMFILE);
    CHECK(make_wait_only(fd).error().error == EMFILE);
    CHECK(read_fdinfo(fd).error().error == EMFILE);
    CHECK(count(fd).error().error == EMFILE);
    CHECK(is_readable(fd));
    REQUIRE(add(fd, 1));
    CHECK(take(fd) == 4U);
}

} // namespace
} // namespace evfd
