// Tests of facts about Unix sockets and descriptors in flight that evfdd relies on.
#include "common/unique_fd.h"
#include "daemon/base/kernel_features.h"
#include "tests/support/catch.h"
#include "tests/support/lingering.h"
#include "tests/support/probe.h"
#include "tests/support/resource_limits.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using probe::add;
using probe::await_events;
using probe::duplicate;
using probe::error_of;
using probe::fdinfo;
using probe::next_event;
using probe::poll_now;
using probe::read_counter;

constexpr std::size_t max_fds_per_message = 253;
constexpr std::size_t control_bytes = CMSG_SPACE(sizeof(int) * (max_fds_per_message + 1));

#ifdef SO_PASSRIGHTS
constexpr int pass_rights = SO_PASSRIGHTS;
#else
// The number of the socket option SO_PASSRIGHTS, which exists since Linux 6.16. The headers of an
// older kernel do not define the option.
constexpr int pass_rights = 83;
#endif

struct SocketPair {
    explicit SocketPair(int type = SOCK_STREAM)
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours = UniqueFd{ends[0]};
        theirs = UniqueFd{ends[1]};
    }

    UniqueFd ours;
    UniqueFd theirs;
};

struct Message {
    std::string bytes;
    std::vector<UniqueFd> fds;
};

// Sends the bytes and the descriptors as one message. Returns 0 or errno. The function contains no
// assertion, so a child process can call it too.
int send(const UniqueFd& socket, std::string_view bytes, std::span<const int> fds = {},
         int flags = 0)
{
    alignas(cmsghdr) std::array<char, control_bytes> control{};
    std::string sent{bytes};
    iovec from{.iov_base = sent.data(), .iov_len = sent.size()};
    msghdr message{};
    message.msg_iov = &from;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    return error_of(::sendmsg(socket.get(), &message, flags | MSG_NOSIGNAL));
}

int send(const UniqueFd& socket, std::string_view bytes, const UniqueFd& fd)
{
    return send(socket, bytes, std::array{fd.get()});
}

// Calls recvmsg(2) once and returns the bytes and descriptors that it received.
Message receive(const UniqueFd& socket)
{
    alignas(cmsghdr) std::array<char, control_bytes> control{};
    std::array<char, 4096> bytes{};
    iovec into{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto count = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
    REQUIRE(count >= 0);

    Message received{.bytes = {bytes.data(), static_cast<std::size_t>(count)}, .fds = {}};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr)
        return received;
    std::vector<int> numbers((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(numbers.data(), CMSG_DATA(header), numbers.size() * sizeof(int));
    for (const int fd : numbers)
        received.fds.emplace_back(fd);
    REQUIRE((message.msg_flags & MSG_CTRUNC) == 0);
    return received;
}

UniqueFd make_event(unsigned count = 0)
{
    return UniqueFd{::eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC)};
}

// Returns the value of SIOCOUTQ. This value is the memory, in bytes, of the messages that this end
// has sent and that the other end has not read yet.
int unread_bytes(const UniqueFd& socket)
{
    int bytes = -1;
    REQUIRE(::ioctl(socket.get(), SIOCOUTQ, &bytes) == 0);
    return bytes;
}

TEST_CASE("a message carries 253 descriptors, and 254 are refused")
{
    const SocketPair pair;
    const auto event = make_event();
    std::vector<int> numbers(max_fds_per_message + 1, event.get());

    CHECK(send(pair.ours, "x", numbers) == EINVAL);
    numbers.pop_back();
    CHECK(send(pair.ours, "x", numbers) == 0);

    CHECK(receive(pair.theirs).fds.size() == max_fds_per_message);
}

TEST_CASE("one recvmsg returns the bytes of an earlier message with the descriptors of a later one")
{
    const SocketPair pair;
    const auto event = make_event();
    REQUIRE(send(pair.ours, "without ") == 0);
    REQUIRE(send(pair.ours, "with ", event) == 0);
    REQUIRE(send(pair.ours, "after") == 0);

    const auto first = receive(pair.theirs);
    CHECK(first.bytes == "without with ");
    CHECK(first.fds.size() == 1);

    // recvmsg(2) stops after a message with descriptors, so the bytes of the next message need
    // another recvmsg(2).
    const auto second = receive(pair.theirs);
    CHECK(second.bytes == "after");
    CHECK(second.fds.empty());
}

TEST_CASE("the descriptors of two messages never arrive in one recvmsg")
{
    const SocketPair pair;
    const auto event = make_event();
    REQUIRE(send(pair.ours, "one", event) == 0);
    REQUIRE(send(pair.ours, "two", event) == 0);

    CHECK(receive(pair.theirs).bytes == "one");
    CHECK(receive(pair.theirs).bytes == "two");
}

TEST_CASE("a descriptor in flight is the same open file, even after its sender closed it")
{
    const SocketPair pair;
    auto event = make_event();
    const auto client = duplicate(event);
    const auto id = fdinfo(event, "eventfd-id");

    REQUIRE(send(pair.ours, "x", event) == 0);
    event = UniqueFd{};
    REQUIRE(::eventfd_write(client.get(), 7) == 0);
    const auto received = receive(pair.theirs);

    REQUIRE(received.fds.size() == 1);
    CHECK(fdinfo(received.fds[0], "eventfd-id") == id);
    CHECK(read_counter(received.fds[0]) == 7);
}

TEST_CASE("recv without a control buffer returns the bytes and closes the descriptors")
{
    const SocketPair pair;
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd reader{ends[0]};
    UniqueFd writer{ends[1]};
    REQUIRE(send(pair.ours, "bytes", writer) == 0);
    writer = UniqueFd{};
    REQUIRE(poll_now(reader, POLLIN) == 0);
    std::array<char, 16> bytes{};

    REQUIRE(::recv(pair.theirs.get(), bytes.data(), bytes.size(), 0) == 5);

    CHECK(std::string_view{bytes.data(), 5} == "bytes");
    CHECK(await_events(reader, POLLHUP));
}

TEST_CASE("a queued reply can be read after its sender closed")
{
    SocketPair pair;
    const auto event = make_event(7);
    REQUIRE(send(pair.ours, "reply", event) == 0);
    char byte = 0;

    SECTION("with all data read, followed by end of file")
    {
        pair.ours = UniqueFd{};

        const auto reply = receive(pair.theirs);
        CHECK(reply.bytes == "reply");
        REQUIRE(reply.fds.size() == 1);
        CHECK(read_counter(reply.fds[0]) == 7);
    }
    SECTION("with unread data, followed by one ECONNRESET and end of file")
    {
        REQUIRE(send(pair.theirs, "unread") == 0);
        pair.ours = UniqueFd{};

        const auto reply = receive(pair.theirs);
        CHECK(reply.bytes == "reply");
        REQUIRE(reply.fds.size() == 1);
        CHECK(read_counter(reply.fds[0]) == 7);
        CHECK(error_of(::recv(pair.theirs.get(), &byte, 1, 0)) == ECONNRESET);
    }
    CHECK(::recv(pair.theirs.get(), &byte, 1, 0) == 0);
}

TEST_CASE("a peer that closes raises EPOLLHUP even if no event was requested")
{
    SocketPair pair;
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, pair.theirs, 0) == 0);
    REQUIRE(send(pair.ours, "nobody asked for it") == 0);
    REQUIRE_FALSE(next_event(epoll, 0));

    pair.ours = UniqueFd{};

    const auto edge = next_event(epoll, probe::deadline_ms);
    REQUIRE(edge);
    CHECK(edge->events == EPOLLHUP);
}

TEST_CASE("a peer that shuts down its sending side raises EPOLLRDHUP and not EPOLLHUP")
{
    const SocketPair pair;
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    const UniqueFd no_events{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, pair.theirs, EPOLLRDHUP) == 0);
    REQUIRE(add(no_events, pair.theirs, 0) == 0);

    REQUIRE(::shutdown(pair.ours.get(), SHUT_WR) == 0);

    CHECK_FALSE(next_event(no_events, 0));
    const auto edge = next_event(epoll, 0);
    REQUIRE(edge);
    CHECK(edge->events == EPOLLRDHUP);
}

TEST_CASE("SIOCOUTQ is zero only once the peer has read everything")
{
    const SocketPair pair;
    const auto event = make_event();
    std::array<char, 4> part{};
    REQUIRE(unread_bytes(pair.ours) == 0);

    REQUIRE(send(pair.ours, "first") == 0);
    REQUIRE(send(pair.ours, "second", event) == 0);
    CHECK(unread_bytes(pair.ours) > 0);
    REQUIRE(::recv(pair.theirs.get(), part.data(), part.size(), 0) == 4);
    CHECK(unread_bytes(pair.ours) > 0);
    CHECK(receive(pair.theirs).bytes == "tsecond");

    CHECK(unread_bytes(pair.ours) == 0);
}

TEST_CASE("edge-triggered EPOLLOUT reports that the peer has read a message")
{
    const SocketPair pair;
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(epoll, pair.ours, EPOLLOUT | EPOLLET) == 0);
    REQUIRE(next_event(epoll, 0));
    REQUIRE(send(pair.ours, "message") == 0);
    REQUIRE_FALSE(next_event(epoll, 0));

    CHECK(receive(pair.theirs).bytes == "message");

    CHECK(next_event(epoll, 0));
    CHECK_FALSE(next_event(epoll, 0));
}

// Returns whether the next message has descriptors. Peeks at the message without a buffer for
// descriptors, and the kernel then sets MSG_CTRUNC if the message has descriptors.
bool has_descriptors(const UniqueFd& socket)
{
    std::array<char, 16> bytes{};
    iovec into{.iov_base = bytes.data(), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    REQUIRE(::recvmsg(socket.get(), &message, MSG_PEEK) > 0);
    return (message.msg_flags & MSG_CTRUNC) != 0;
}

TEST_CASE("a peek without room for descriptors reports them with MSG_CTRUNC and leaves them queued")
{
    const SocketPair pair;
    REQUIRE(send(pair.ours, "without") == 0);
    CHECK_FALSE(has_descriptors(pair.theirs));
    REQUIRE(send(pair.ours, "with", make_event()) == 0);
    CHECK(has_descriptors(pair.theirs));
    CHECK(has_descriptors(pair.theirs));
    CHECK(receive(pair.theirs).fds.size() == 1);
}

TEST_CASE("a peek with SO_OOBINLINE reports descriptors that were sent out of band")
{
    const SocketPair pair;
    const auto event = make_event();
    REQUIRE(send(pair.ours, "x", std::array{event.get()}, MSG_OOB) == 0);
    const int yes = 1;
    REQUIRE(::setsockopt(pair.theirs.get(), SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes) == 0);
    CHECK(has_descriptors(pair.theirs));
    CHECK(receive(pair.theirs).fds.size() == 1);
}

TEST_CASE("a socket shut down for reading receives nothing new, and queued messages stay readable")
{
    const SocketPair pair;
    REQUIRE(send(pair.ours, "before", make_event()) == 0);
    REQUIRE(::shutdown(pair.theirs.get(), SHUT_RD) == 0);
    CHECK(send(pair.ours, "after", make_event()) == EPIPE);
    CHECK(has_descriptors(pair.theirs));
    CHECK(receive(pair.theirs).bytes == "before");
    CHECK(receive(pair.theirs).bytes.empty());
}

TEST_CASE(
    "the exit of a killed process is not delayed by a lingering descriptor that it closes last")
{
    LingeringSocket lingering;
    std::optional<SocketPair> pair{std::in_place};
    const auto test = ::getpid();
    const auto child = ::fork(); // The child inherits all descriptors.
    if (child == 0) {
        // The kernel kills the child when this process ends, for example because a check fails.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != test)
            ::_exit(1);
        while (true)
            ::pause();
    }
    REQUIRE(send(pair->ours, "x", lingering.fd()) == 0);
    lingering.close_sender();
    pair.reset();
    const UniqueFd ended{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
    REQUIRE(::kill(child, SIGKILL) == 0);
    CHECK(await_events(ended, POLLIN));
    CHECK(::waitpid(child, nullptr, WNOHANG) == child);
}

TEST_CASE("a listener without SO_PASSRIGHTS (Linux 6.16) refuses descriptors to their sender")
{
    const UniqueFd listener{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int off = 0;
    const int error =
        error_of(::setsockopt(listener.get(), SOL_SOCKET, pass_rights, &off, sizeof off));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // The kernel chooses a free address (autobind, see unix(7)), so that several runs of this test
    // do not collide.
    socklen_t length = sizeof address.sun_family;
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener.get(), name, length) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    length = sizeof address;
    REQUIRE(::getsockname(listener.get(), name, &length) == 0);
    const UniqueFd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    REQUIRE(::connect(client.get(), name, length) == 0);
    const auto event = make_event();

    CHECK(daemon::probe_kernel_features().pass_rights == (error == 0));
    if (error != 0) { // The kernel is older than Linux 6.16.
        CHECK(error == ENOPROTOOPT);
        REQUIRE(send(client, "x", event) == 0);
        const UniqueFd served{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        CHECK(receive(served).fds.size() == 1);
        return;
    }

    CHECK(send(client, "not accepted yet", event) == EPERM);
    const UniqueFd served{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    REQUIRE(served);
    CHECK(send(client, "accepted", event) == EPERM);

    // The client can still send messages without descriptors, and the server can still send
    // descriptors to the client.
    CHECK(send(client, "bytes") == 0);
    CHECK(receive(served).bytes == "bytes");
    CHECK(send(served, "reply", event) == 0);
    CHECK(receive(client).fds.size() == 1);
}

// Returns a uid that no other process uses, because the kernel counts the descriptors in flight of
// all processes of a uid together. The uid is between 60578 and 61183. Neither useradd nor systemd
// assigns these uids. The uid depends on the pid, so that tests that run at the same time use
// different uids.
uid_t spare_uid()
{
    return 60578 + static_cast<uid_t>(::getpid()) % 606;
}

constexpr rlim_t fd_limit = 16;
constexpr int cannot_test = 255;

// Lowers RLIMIT_NOFILE of this process, which is also the limit on descriptors in flight. If this
// process is root, also changes its user, because root's capabilities exempt a process from the
// limit on descriptors in flight. Returns false on failure.
bool become_bounded(uid_t uid)
{
    const rlimit limit{.rlim_cur = fd_limit, .rlim_max = fd_limit};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    return ::geteuid() != 0 || ::setresuid(uid, uid, uid) == 0;
}

TEST_CASE("descriptors in flight are counted for the uid of the sender, over all its processes",
          "[alone]")
{
    const uid_t uid = spare_uid();
    SocketPair unread;
    const SocketPair pair;
    const auto event = make_event();

    const int hoarder = probe::in_child([&] {
        if (!become_bounded(uid))
            return cannot_test;
        for (rlim_t sent = 0; sent <= fd_limit + 1; ++sent)
            if (const int error = send(unread.ours, "x", event); error != 0)
                return error;
        return 0;
    });
    if (hoarder == cannot_test)
        skip("this user cannot become one that the bound applies to");
    REQUIRE(hoarder == ETOOMANYREFS);

    // The first child has exited. The descriptors that the first child sent are still in flight,
    // and the kernel still counts them.
    const auto other = [&] {
        return become_bounded(uid) ? send(pair.ours, "x", event) : cannot_test;
    };
    CHECK(probe::in_child(other) == ETOOMANYREFS);
    CHECK(send(pair.ours, "x", event) == 0);
}

TEST_CASE("descriptors in flight are no longer counted after their socket was closed")
{
    if (::geteuid() != 0)
        skip("only root can be a user who has nothing else in flight");
    const uid_t uid = spare_uid();
    std::optional<SocketPair> unread{std::in_place};
    const SocketPair pair;
    const auto event = make_event();
    const auto fill = [&] {
        if (!become_bounded(uid))
            return cannot_test;
        int error = 0;
        while (error == 0)
            error = send(unread->ours, "x", event);
        return error;
    };
    const auto other = [&] {
        return become_bounded(uid) ? send(pair.ours, "x", event) : cannot_test;
    };
    REQUIRE(probe::in_child(fill) == ETOOMANYREFS);
    REQUIRE(probe::in_child(other) == ETOOMANYREFS);

    unread.reset();

    CHECK(probe::in_child(other) == 0);
}

TEST_CASE("thousands of events in flight in one socket pair arrive intact and in order", "[alone]")
{
    constexpr std::size_t batch = 250;
    constexpr std::size_t batches = 32;
    // The test requires a limit of twice the number of descriptors that it sends, because other
    // processes of this user can have descriptors in flight too.
    require_descriptors(2 * batch * batches);
    const SocketPair stash{SOCK_SEQPACKET};

    for (std::size_t number = 0; number < batches; ++number) {
        std::vector<UniqueFd> originals;
        std::vector<int> numbers;
        for (std::size_t i = 0; i < batch; ++i) {
            originals.push_back(make_event(static_cast<unsigned>(number * batch + i + 1)));
            numbers.push_back(originals.back().get());
        }
        REQUIRE(send(stash.ours, std::to_string(number), numbers) == 0);
    }

    std::uint64_t expected = 0;
    for (std::size_t number = 0; number < batches; ++number) {
        const auto message = receive(stash.theirs);
        REQUIRE(message.bytes == std::to_string(number));
        REQUIRE(message.fds.size() == batch);
        for (const auto& fd : message.fds)
            REQUIRE(read_counter(fd) == ++expected);
    }
    CHECK(poll_now(stash.theirs, POLLIN) == 0);
}

TEST_CASE("messages of one byte and one descriptor fill a socket buffer long before its size")
{
    const SocketPair stash{SOCK_SEQPACKET};
    const auto event = make_event();
    int buffer_bytes = 0;
    socklen_t length = sizeof buffer_bytes;
    REQUIRE(::getsockopt(stash.ours.get(), SOL_SOCKET, SO_SNDBUF, &buffer_bytes, &length) == 0);

    int sent = 0;
    int error = 0;
    for (; sent < buffer_bytes && error == 0; ++sent)
        error = send(stash.ours, "x", event);

    // A message of one byte occupies some hundreds of bytes of memory, and the kernel charges the
    // socket buffer for all of this memory. So the buffer is full after few messages.
    CHECK(error == EAGAIN);
    CHECK(sent < buffer_bytes / 256);
    CHECK(unread_bytes(stash.ours) >= sent * 256);
}

TEST_CASE("a wait-only handle wakes while its event is in flight")
{
    const SocketPair stash{SOCK_SEQPACKET};
    auto event = make_event();
    const auto client = duplicate(event);
    UniqueFd wait_only{::epoll_create1(EPOLL_CLOEXEC)};
    REQUIRE(add(wait_only, event, EPOLLIN) == 0);

    REQUIRE(send(stash.ours, "x", event) == 0);
    event = UniqueFd{};
    REQUIRE(poll_now(wait_only, POLLIN) == 0);
    REQUIRE(::eventfd_write(client.get(), 1) == 0);

    CHECK(poll_now(wait_only, POLLIN) == POLLIN);
}

TEST_CASE("a timer ticks while it is in flight and not open anywhere")
{
    const SocketPair stash{SOCK_SEQPACKET};
    UniqueFd timer{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    const UniqueFd witness{::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
    const itimerspec each_ms{.it_interval = probe::to_timespec(1ms),
                             .it_value = probe::to_timespec(1ms)};
    const itimerspec once{.it_interval = {}, .it_value = probe::to_timespec(20ms)};
    REQUIRE(::timerfd_settime(timer.get(), 0, &each_ms, nullptr) == 0);
    REQUIRE(send(stash.ours, "x", timer) == 0);
    timer = UniqueFd{};

    REQUIRE(::timerfd_settime(witness.get(), 0, &once, nullptr) == 0);
    REQUIRE(await_events(witness, POLLIN));

    const auto recovered = receive(stash.theirs);
    REQUIRE(recovered.fds.size() == 1);
    std::uint64_t ticks = 0;
    REQUIRE(::read(recovered.fds[0].get(), &ticks, sizeof ticks) == sizeof ticks);
    CHECK(ticks >= 20);
}

} // namespace
} // namespace evfd
