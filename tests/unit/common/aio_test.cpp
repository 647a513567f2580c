#include "common/aio.h"
#include "common/eventfd.h"
#include "tests/support/catch.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <span>
#include <thread>
#include <utility>

namespace evfd {
namespace {

using namespace std::chrono_literals;

constexpr auto at_once = 0ns;
constexpr auto deadline = 20s; // How long a test waits for a completion at most.

Aio context(unsigned operations)
{
    auto aio = Aio::create(operations);
    if (!aio)
        skip("no AIO: " + aio.error().message());
    return *std::move(aio);
}

iocb poll_of(const UniqueFd& fd, std::uint64_t data)
{
    iocb operation{};
    operation.aio_lio_opcode = IOCB_CMD_POLL;
    operation.aio_fildes = static_cast<std::uint32_t>(fd.get());
    operation.aio_buf = POLLIN;
    operation.aio_data = data;
    return operation;
}

UniqueFd event(unsigned initial = 0)
{
    return *make_eventfd(initial, Counter::plain);
}

TEST_CASE("a completed operation is reaped with its data and its result")
{
    const auto aio = context(1);
    const auto fd = event(1);
    auto poll = poll_of(fd, 42);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    std::array<io_event, 4> done{};
    const auto reaped = aio.reap(done, 1, deadline);

    REQUIRE(reaped == 1U);
    CHECK(done[0].data == 42);
    CHECK(done[0].obj == reinterpret_cast<std::uintptr_t>(&poll));
    CHECK((done[0].res & POLLIN) != 0);
    CHECK(aio.reap(done, 0, at_once) == 0U);
}

TEST_CASE("an operation that is not completed is not reaped, and the reap times out")
{
    const auto aio = context(1);
    const auto fd = event();
    auto poll = poll_of(fd, 1);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    std::array<io_event, 1> done{};
    CHECK(aio.reap(done, 0, at_once) == 0U);
    CHECK(aio.reap(done, 1, at_once) == 0U);
    CHECK(aio.reap(done, 1, 1ms) == 0U);
}

TEST_CASE("a reap without a timeout blocks until an operation completes")
{
    const auto aio = context(1);
    const auto fd = event();
    auto poll = poll_of(fd, 1);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    std::jthread setter{[&] { ::eventfd_write(fd.get(), 1); }};
    std::array<io_event, 1> done{};
    CHECK(aio.reap(done, 1, std::nullopt) == 1U);
}

TEST_CASE("a poll operation completes although the event was cleared at once")
{
    const auto aio = context(1);
    const auto fd = event();
    auto poll = poll_of(fd, 1);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    REQUIRE(add(fd, 1));
    REQUIRE(take(fd) == 1U);

    std::array<io_event, 1> done{};
    REQUIRE(aio.reap(done, 1, deadline) == 1U);
    CHECK((done[0].res & POLLIN) != 0);
}

TEST_CASE("a cancelled operation completes exactly once")
{
    const auto aio = context(1);
    const auto fd = event();
    auto poll = poll_of(fd, 7);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    aio.cancel(poll);

    std::array<io_event, 1> done{};
    REQUIRE(aio.reap(done, 1, deadline) == 1U);
    CHECK(done[0].data == 7);
    CHECK((done[0].res & POLLIN) == 0);
    REQUIRE(add(fd, 1));
    CHECK(aio.reap(done, 0, at_once) == 0U);
}

TEST_CASE("cancelling a completed operation changes nothing")
{
    const auto aio = context(1);
    const auto fd = event(1);
    auto poll = poll_of(fd, 7);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(aio.submit(operations) == 1U);

    aio.cancel(poll);

    std::array<io_event, 2> done{};
    REQUIRE(aio.reap(done, 1, deadline) == 1U);
    CHECK((done[0].res & POLLIN) != 0);
    CHECK(aio.reap(done, 0, at_once) == 0U);
}

TEST_CASE("operations that are submitted together are reaped as they complete")
{
    const auto aio = context(3);
    const std::array<UniqueFd, 3> fds{event(), event(), event()};
    std::array<iocb, 3> polls{poll_of(fds[0], 0), poll_of(fds[1], 1), poll_of(fds[2], 2)};
    std::array<iocb*, 3> operations{&polls[0], &polls[1], &polls[2]};
    REQUIRE(aio.submit(operations) == 3U);

    std::array<io_event, 3> done{};
    REQUIRE(add(fds[1], 1));
    REQUIRE(aio.reap(done, 1, deadline) == 1U);
    CHECK(done[0].data == 1);

    REQUIRE(add(fds[0], 1));
    REQUIRE(add(fds[2], 1));
    REQUIRE(aio.reap(done, 2, deadline) == 2U);
    CHECK(done[0].data + done[1].data == 2);
}

TEST_CASE("operations after a refused one are not submitted")
{
    const auto aio = context(2);
    const auto fd = event(1);
    auto good = poll_of(fd, 1);
    auto bad = poll_of(UniqueFd{}, 2);
    std::array<iocb*, 2> operations{&good, &bad};

    CHECK(aio.submit(operations) == 1U);

    std::array<iocb*, 1> refused{&bad};
    const auto begun = aio.submit(refused);
    REQUIRE_FALSE(begun);
    CHECK(begun.error().error == EBADF);
    CHECK(begun.error().call == "io_submit(2)");
}

TEST_CASE("a context accepts no more operations than it has room for")
{
    const auto aio = context(1);
    std::array<io_event, 1> done{};

    const auto reaped = aio.reap(done, 2, at_once);

    REQUIRE_FALSE(reaped);
    CHECK(reaped.error().call == "io_getevents(2)");
    CHECK(reaped.error().error == EINVAL);
}

TEST_CASE("a context cannot have more operations than the system limit")
{
    unsigned most = 0;
    std::ifstream{"/proc/sys/fs/aio-max-nr"} >> most;
    // If the system limit is 8 million or more, io_setup(2) fails with EINVAL and not with EAGAIN.
    if (most == 0 || most >= 8'000'000)
        skip("fs.aio-max-nr is " + std::to_string(most));

    const auto aio = Aio::create(most + 1);

    REQUIRE_FALSE(aio);
    CHECK(aio.error().error == EAGAIN);
    CHECK(aio.error().call == "io_setup(2)");
}

TEST_CASE("forgotten completions free their room, however many arrive")
{
    constexpr unsigned at_a_time = 4;
    const auto aio = context(at_a_time);
    const UniqueFd zero{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    const auto notified = *make_eventfd(0, Counter::plain);
    char byte = 1;
    iocb read{};
    read.aio_lio_opcode = IOCB_CMD_PREAD;
    read.aio_fildes = static_cast<std::uint32_t>(zero.get());
    read.aio_buf = reinterpret_cast<std::uintptr_t>(&byte);
    read.aio_nbytes = 1;
    read.aio_flags = IOCB_FLAG_RESFD;
    read.aio_resfd = static_cast<std::uint32_t>(notified.get());
    std::array<iocb*, at_a_time> operations;
    operations.fill(&read);

    // The loop submits far more operations in total than the context has room for. The kernel makes
    // the context larger than requested, but not that large.
    constexpr unsigned rounds = 1'000;
    for (unsigned i = 0; i < rounds; ++i) {
        REQUIRE(aio.submit(operations) == at_a_time);
        REQUIRE(aio.discard_completions());
    }
    CHECK(take(notified) == rounds * at_a_time);

    // The loop has left no completion in the context. So reap() returns only the operation that is
    // submitted next.
    read.aio_data = 7;
    REQUIRE(aio.submit(std::span{operations}.first(1)) == 1U);
    std::array<io_event, at_a_time> done{};
    REQUIRE(aio.reap(done, 1, at_once) == 1U);
    CHECK(done[0].data == 7);
}

TEST_CASE("a moved context continues at its new place")
{
    std::optional first{context(1)};
    std::optional second{context(1)};
    const auto fd = event(1);
    auto poll = poll_of(fd, 5);
    std::array<iocb*, 1> operations{&poll};
    REQUIRE(first->submit(operations) == 1U);

    *second = *std::move(first);
    first.reset();
    const auto third = *std::move(second);
    second.reset();

    std::array<io_event, 1> done{};
    REQUIRE(third.reap(done, 1, deadline) == 1U);
    CHECK(done[0].data == 5);
}

} // namespace
} // namespace evfd
