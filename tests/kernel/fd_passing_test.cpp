// Tests of kernel facts that the state store relies on. A program can peek at descriptors in
// flight, and the files of these descriptors stay open. One system call can both change an eventfd
// and record the change in shared memory.
#include "common/unique_fd.h"
#include "tests/support/catch.h"
#include "tests/support/probe.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using probe::await_events;
using probe::poll_now;

constexpr auto max_eventfd_count = std::numeric_limits<std::uint64_t>::max() - 1;

struct Pair {
    Pair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
        in = UniqueFd{ends[0]};
        out = UniqueFd{ends[1]};
    }
    void peek_from(int offset) const
    {
        REQUIRE(::setsockopt(out.get(), SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset) == 0);
    }
    UniqueFd in;
    UniqueFd out;
};

void send(const UniqueFd& end, std::string_view text, const UniqueFd& fd)
{
    iovec data{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    auto* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = fd.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    REQUIRE(::sendmsg(end.get(), &message, 0) == static_cast<ssize_t>(text.size()));
}

struct Received {
    std::string text; // The text is empty if no message was available.
    UniqueFd fd;
};

Received receive(const UniqueFd& end, int flags)
{
    std::array<char, 64> bytes{};
    iovec data{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto got = ::recvmsg(end.get(), &message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    Received received;
    if (got <= 0)
        return received;
    received.text.assign(bytes.data(), static_cast<std::size_t>(got));
    if (const auto* header = CMSG_FIRSTHDR(&message)) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(header), sizeof number);
        received.fd = UniqueFd{number};
    }
    return received;
}

UniqueFd make_event(unsigned initial = 0, int flags = EFD_NONBLOCK)
{
    UniqueFd fd{::eventfd(initial, flags | EFD_CLOEXEC)};
    REQUIRE(fd);
    return fd;
}

// The first 8 bytes of a memfd. System calls write to this word through a mapping. The test reads
// the word by pread(2), which shows what another process would see.
class SharedWord {
public:
    SharedWord() : memfd_{::memfd_create("test", MFD_CLOEXEC)}
    {
        REQUIRE(memfd_);
        REQUIRE(::ftruncate(memfd_.get(), 4096) == 0);
        memory_ = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd_.get(), 0);
        REQUIRE(memory_ != MAP_FAILED);
    }
    ~SharedWord() { ::munmap(memory_, 4096); }
    SharedWord(const SharedWord&) = delete;
    SharedWord& operator=(const SharedWord&) = delete;

    std::uint64_t& word() const { return *static_cast<std::uint64_t*>(memory_); }
    std::uint64_t read_through_file() const
    {
        std::uint64_t value = 0;
        REQUIRE(::pread(memfd_.get(), &value, sizeof value, 0) == sizeof value);
        return value;
    }

private:
    UniqueFd memfd_;
    void* memory_ = nullptr;
};

TEST_CASE("with SO_PEEK_OFF, MSG_PEEK walks over messages in flight and consumes none")
{
    const Pair pair;
    const auto first = make_event();
    const auto second = make_event();
    send(pair.in, "one", first);
    send(pair.in, "second", second);
    for (int round = 0; round < 2; ++round) {
        pair.peek_from(0);
        const auto one = receive(pair.out, MSG_PEEK);
        const auto two = receive(pair.out, MSG_PEEK);
        CHECK(one.text == "one");
        CHECK(two.text == "second");
        CHECK(probe::fdinfo(one.fd, "eventfd-id") == probe::fdinfo(first, "eventfd-id"));
        CHECK(probe::fdinfo(two.fd, "eventfd-id") == probe::fdinfo(second, "eventfd-id"));
        CHECK(receive(pair.out, MSG_PEEK).text.empty());
    }
    pair.peek_from(-1);
    CHECK(receive(pair.out, 0).text == "one");
    CHECK(receive(pair.out, 0).text == "second");
    CHECK(receive(pair.out, 0).text.empty());
}

TEST_CASE("each MSG_PEEK returns a duplicate of the same open file")
{
    const Pair pair;
    send(pair.in, "x", make_event());
    const auto one = receive(pair.out, MSG_PEEK);
    const auto other = receive(pair.out, MSG_PEEK);
    REQUIRE(::eventfd_write(one.fd.get(), 3) == 0);
    CHECK(probe::read_counter(other.fd) == 3U);
    CHECK(one.fd.get() != other.fd.get());
}

TEST_CASE("receiving a message without room for its descriptors closes them")
{
    const Pair pair;
    std::array<int, 2> pipe{};
    REQUIRE(::pipe2(pipe.data(), O_CLOEXEC) == 0);
    const UniqueFd reader{pipe[0]};
    UniqueFd writer{pipe[1]};
    send(pair.in, "long text", writer);
    writer = {};
    CHECK((poll_now(reader, POLLIN) & POLLHUP) == 0);

    char byte = 0;
    REQUIRE(::recv(pair.out.get(), &byte, 1, 0) == 1);

    CHECK((poll_now(reader, POLLIN) & POLLHUP) != 0);
    // The recv(2) has removed the whole message, including the bytes that did not fit into the
    // buffer.
    CHECK(receive(pair.out, 0).text.empty());
}

TEST_CASE("both ends of a socket pair can have descriptors in flight at once")
{
    const Pair pair;
    send(pair.in, "there", make_event(1));
    send(pair.out, "back", make_event(2));
    CHECK(probe::read_counter(receive(pair.out, 0).fd) == 1U);
    CHECK(probe::read_counter(receive(pair.in, 0).fd) == 2U);
}

TEST_CASE("an eventfd that is only in flight keeps its count")
{
    const Pair pair;
    send(pair.in, "x", make_event(5));
    CHECK(probe::read_counter(receive(pair.out, MSG_PEEK).fd) == 5U);
}

TEST_CASE("a wait-only handle still wakes while its eventfd is only in flight")
{
    const Pair pair;
    const UniqueFd handle{::epoll_create1(EPOLL_CLOEXEC)};
    {
        const auto fd = make_event();
        REQUIRE(probe::add(handle, fd, EPOLLIN) == 0);
        send(pair.in, "x", fd);
    }
    CHECK(poll_now(handle, POLLIN) == 0);
    REQUIRE(::eventfd_write(receive(pair.out, MSG_PEEK).fd.get(), 1) == 0);
    CHECK(poll_now(handle, POLLIN) == POLLIN);
}

TEST_CASE("a timerfd that is only in flight still ticks")
{
    const Pair pair;
    const UniqueFd witness{::epoll_create1(EPOLL_CLOEXEC)};
    {
        const UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
        const itimerspec setting{.it_interval = {}, .it_value = probe::to_timespec(1ms)};
        REQUIRE(::timerfd_settime(timer.get(), 0, &setting, nullptr) == 0);
        REQUIRE(probe::add(witness, timer, EPOLLIN) == 0);
        send(pair.in, "x", timer);
    }
    REQUIRE(await_events(witness, POLLIN));
    CHECK(probe::read_expirations(receive(pair.out, 0).fd) == 1U);
}

TEST_CASE("timerfd_gettime does not consume the ticks of a timerfd")
{
    const UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    const itimerspec setting{.it_interval = {}, .it_value = probe::to_timespec(1ns)};
    REQUIRE(::timerfd_settime(timer.get(), 0, &setting, nullptr) == 0);
    REQUIRE(await_events(timer, POLLIN));
    itimerspec left{};
    for (int i = 0; i < 3; ++i)
        REQUIRE(::timerfd_gettime(timer.get(), &left) == 0);
    CHECK(left.it_value.tv_nsec == 0);
    CHECK(probe::read_expirations(timer) == 1U);
}

TEST_CASE("one AIO read of /dev/zero records in shared memory that it added to an eventfd")
{
    const auto [before, blocking, after] = GENERATE(table<std::uint64_t, bool, std::uint64_t>({
        {0, false, 1},
        {7, true, 8},
        // The kernel can add 1 to the largest count that a program can write.
        {max_eventfd_count, false, max_eventfd_count + 1},
        {max_eventfd_count, true, max_eventfd_count + 1},
    }));
    aio_context_t context = 0;
    if (::syscall(SYS_io_setup, 4U, &context) < 0)
        skip("no AIO: errno " + std::to_string(errno));
    const UniqueFd zero{::open("/dev/zero", O_RDONLY | O_CLOEXEC)};
    const auto fd = make_event(0, blocking ? 0 : EFD_NONBLOCK);
    if (before > 0)
        REQUIRE(::eventfd_write(fd.get(), before) == 0);
    const SharedWord note;
    note.word() = 0x0101;
    iocb operation{};
    operation.aio_lio_opcode = IOCB_CMD_PREAD;
    operation.aio_fildes = static_cast<std::uint32_t>(zero.get());
    operation.aio_buf = reinterpret_cast<std::uintptr_t>(&note.word());
    operation.aio_nbytes = 1;
    operation.aio_flags = IOCB_FLAG_RESFD;
    operation.aio_resfd = static_cast<std::uint32_t>(fd.get());
    iocb* operations = &operation;

    CHECK(::syscall(SYS_io_submit, context, 1L, &operations) == 1);

    // When io_submit(2) returned, the kernel had already copied a zero byte into the first byte of
    // the word.
    CHECK(note.read_through_file() == 0x0100);
    CHECK(probe::read_counter(fd) == after);
    ::syscall(SYS_io_destroy, context);
}

TEST_CASE("preadv2 stores the consumed count in shared memory")
{
    const auto fd = make_event(3);
    const SharedWord note;
    const iovec into{&note.word(), sizeof(std::uint64_t)};
    REQUIRE(::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) == sizeof(std::uint64_t));
    CHECK(note.read_through_file() == 3);

    CHECK(::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) < 0);
    CHECK(errno == EAGAIN);
    CHECK(note.read_through_file() == 3); // The failed read has not changed the word.
}

TEST_CASE("both records survive the kill of the process that caused them")
{
    const SharedWord note;
    const auto fd = make_event(9);
    REQUIRE(probe::in_child([&] {
                const iovec into{&note.word(), sizeof(std::uint64_t)};
                return ::preadv2(fd.get(), &into, 1, -1, RWF_NOWAIT) == sizeof(std::uint64_t) ? 0
                                                                                              : 1;
            }) == 0);
    CHECK(note.read_through_file() == 9);
    CHECK(poll_now(fd, POLLIN) == 0);
}

} // namespace
} // namespace evfd
