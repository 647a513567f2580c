// Tests of facts about io_submit(2) that evfdd relies on. By io_submit(2) a program can set an
// eventfd without blocking, and can wait for an eventfd without missing a set.
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>

#include <span>
#include <utility>
#include <vector>

namespace evfd {
namespace {

using probe::add;
using probe::error_of;
using probe::next_event;
using probe::poll_now;
using probe::read_counter;

// Creates an AIO context for at least `completions` pending requests. Returns 0, or -1 with errno,
// as io_setup(2) does.
long set_up(unsigned completions, aio_context_t& id)
{
    return ::syscall(SYS_io_setup, completions, &id);
}

// Submits the requests. Returns the number of requests that the kernel accepted, or -1 with errno.
long submit(aio_context_t id, std::span<iocb*> requests)
{
    return ::syscall(SYS_io_submit, id, static_cast<long>(requests.size()), requests.data());
}

// Removes the completions that are available now, but at most `at_most`, and returns the removed
// completions. Does not wait.
std::vector<io_event> completed(aio_context_t id, std::size_t at_most)
{
    std::vector<io_event> events(at_most);
    timespec none{};
    const long count =
        ::syscall(SYS_io_getevents, id, 0L, static_cast<long>(at_most), events.data(), &none);
    REQUIRE(count >= 0);
    events.resize(static_cast<std::size_t>(count));
    return events;
}

class Context {
public:
    explicit Context(aio_context_t id) : id_{id} {}
    Context(Context&& other) noexcept : id_{std::exchange(other.id_, 0)} {}
    Context& operator=(Context&&) = delete;
    ~Context()
    {
        if (id_ != 0)
            ::syscall(SYS_io_destroy, id_);
    }

    // Creates an AIO context. If this machine has no AIO, skips the test, because evfdd also works
    // without AIO.
    static Context make(unsigned completions)
    {
        aio_context_t id = 0;
        const int error = error_of(set_up(completions, id));
        if (error == 0)
            return Context{id};
        CHECK((error == ENOSYS || error == EPERM || error == EAGAIN));
        skip("no AIO: errno " + std::to_string(error));
    }

    aio_context_t id() const noexcept { return id_; }

private:
    aio_context_t id_;
};

std::uint32_t number(const UniqueFd& fd)
{
    return static_cast<std::uint32_t>(fd.get());
}

// An AIO request that adds 1 to an event. The request reads a byte of /dev/null and so completes at
// once. The completion adds 1 to the event (IOCB_FLAG_RESFD).
class IncrementRequest {
public:
    explicit IncrementRequest(const UniqueFd& event)
    {
        request_.aio_lio_opcode = IOCB_CMD_PREAD;
        request_.aio_fildes = number(null_);
        request_.aio_buf = reinterpret_cast<std::uintptr_t>(&byte_);
        request_.aio_nbytes = 1;
        request_.aio_flags = IOCB_FLAG_RESFD;
        request_.aio_resfd = number(event);
    }
    IncrementRequest(const IncrementRequest&) = delete;
    IncrementRequest& operator=(const IncrementRequest&) = delete;

    iocb* request() noexcept { return &request_; }

private:
    UniqueFd null_{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    char byte_ = 0;
    iocb request_{};
};

iocb make_poll_request(const UniqueFd& fd)
{
    iocb request{};
    request.aio_lio_opcode = IOCB_CMD_POLL;
    request.aio_fildes = number(fd);
    request.aio_buf = POLLIN;
    return request;
}

TEST_CASE("io_submit with IOCB_FLAG_RESFD makes the kernel add 1 to an event")
{
    const auto context = Context::make(1);
    const auto flags = GENERATE(0, EFD_SEMAPHORE, EFD_NONBLOCK);
    const UniqueFd event{::eventfd(0, flags | EFD_CLOEXEC)};
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, event, EPOLLIN | EPOLLET) == 0);
    IncrementRequest increment{event};
    std::vector requests{increment.request()};

    REQUIRE(submit(context.id(), requests) == 1);

    // When io_submit(2) returns, the request is complete: the event has the increment, and epoll
    // reports the edge.
    CHECK(next_event(epoll, 0));
    CHECK(read_counter(event) == 1);
    CHECK(completed(context.id(), 1).size() == 1);
}

TEST_CASE("io_submit adds 1 to a saturated, blocking event without waiting, and poll shows POLLERR")
{
    const auto context = Context::make(1);
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    REQUIRE(::eventfd_write(event.get(), UINT64_MAX - 1) == 0);
    REQUIRE(poll_now(event, POLLIN | POLLOUT) == POLLIN);
    IncrementRequest increment{event};
    std::vector requests{increment.request()};

    // The first increment raises the counter to UINT64_MAX, a value that only the kernel can set.
    // The second increment leaves the counter at this value.
    for (int round = 0; round < 2; ++round) {
        REQUIRE(submit(context.id(), requests) == 1);
        REQUIRE(completed(context.id(), 1).size() == 1);
        CHECK(poll_now(event, POLLIN | POLLOUT) == (POLLIN | POLLERR));
    }

    CHECK(read_counter(event) == UINT64_MAX);
    CHECK(poll_now(event, POLLIN | POLLOUT) == POLLOUT);
}

TEST_CASE("each request of one io_submit adds 1, even if the same request is repeated")
{
    const auto context = Context::make(8);
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    const UniqueFd other{::eventfd(0, EFD_CLOEXEC)};
    IncrementRequest increment{event};
    IncrementRequest other_increment{other};
    std::vector requests{increment.request(), other_increment.request(), increment.request(),
                         increment.request()};

    REQUIRE(submit(context.id(), requests) == 4);

    CHECK(read_counter(event) == 3);
    CHECK(read_counter(other) == 1);
    CHECK(completed(context.id(), 8).size() == 4);
}

TEST_CASE("io_submit fails with EAGAIN while completions fill the context")
{
    const auto context = Context::make(1);
    const UniqueFd event{::eventfd(0, EFD_CLOEXEC)};
    IncrementRequest increment{event};
    std::vector requests{increment.request()};

    // Fills the context: submits requests until the kernel rejects a request. The capacity is not
    // known in advance, because the kernel rounds up the capacity that a program asks for.
    std::uint64_t added = 0;
    int error = 0;
    while (added < 100'000 && (error = error_of(submit(context.id(), requests))) == 0)
        ++added;
    REQUIRE(error == EAGAIN);
    CHECK(read_counter(event) == added);

    CHECK(completed(context.id(), added).size() == added);
    CHECK(submit(context.id(), requests) == 1);
    CHECK(read_counter(event) == 1);
}

TEST_CASE("an AIO poll completes after a set that was cleared at once")
{
    constexpr std::size_t waiters = 50;
    const auto context = Context::make(waiters);
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    const UniqueFd wait_only{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(wait_only, event, EPOLLIN) == 0);
    const auto through_epoll = GENERATE(false, true);
    auto request = make_poll_request(through_epoll ? wait_only : event);
    std::vector requests(waiters, &request);

    for (int round = 0; round < 20; ++round) {
        REQUIRE(submit(context.id(), requests) == waiters);
        REQUIRE(completed(context.id(), waiters).empty());

        REQUIRE(::eventfd_write(event.get(), 1) == 0);
        REQUIRE(read_counter(event) == 1);

        const auto released = completed(context.id(), waiters);
        CHECK(released.size() == waiters);
        CHECK(std::ranges::all_of(released, [](const auto& e) { return (e.res & POLLIN) != 0; }));
    }
}

TEST_CASE("an AIO poll of a set event completes at once")
{
    const auto context = Context::make(1);
    const UniqueFd event{::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)};
    auto request = make_poll_request(event);
    std::vector requests{&request};

    REQUIRE(submit(context.id(), requests) == 1);

    CHECK(completed(context.id(), 1).size() == 1);
    CHECK(read_counter(event) == 1);
}

TEST_CASE("AIO contexts are limited by aio-max-nr")
{
    unsigned long bound = 0;
    std::ifstream{"/proc/sys/fs/aio-max-nr"} >> bound;
    // If aio-max-nr is above 4 million, the test cannot exceed it, because the kernel rejects a
    // larger context for another reason.
    if (bound == 0 || bound > 4'000'000)
        skip("fs.aio-max-nr is " + std::to_string(bound));

    aio_context_t id = 0;
    CHECK(error_of(set_up(static_cast<unsigned>(bound + 1), id)) == EAGAIN);
}

TEST_CASE("an AIO context is not inherited over fork")
{
    const auto context = Context::make(1);
    const UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    IncrementRequest increment{event};
    std::vector requests{increment.request()};

    const int error = probe::in_child([&] { return error_of(submit(context.id(), requests)); });

    CHECK(error == EINVAL);
    CHECK_FALSE(read_counter(event));
    CHECK(submit(context.id(), requests) == 1);
}

} // namespace
} // namespace evfd
