#include "common/eventfd.h"
#include "common/limits.h"
#include "common/socket.h"
#include "tests/support/catch.h"
#include "tests/support/send_with_fds.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <numeric>
#include <string>
#include <utility>

namespace evfd {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

// Two connected sockets in blocking mode, because the tested functions must not block even on
// sockets without O_NONBLOCK.
struct SocketPair {
    SocketPair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours = UniqueFd{ends[0]};
        theirs = UniqueFd{ends[1]};
    }
    UniqueFd ours;
    UniqueFd theirs;
};

std::vector<UniqueFd> none()
{
    return {};
}

// Returns eventfds with the counters 1 to `count`.
std::vector<UniqueFd> numbered(unsigned count)
{
    std::vector<UniqueFd> fds;
    for (unsigned i = 1; i <= count; ++i)
        fds.push_back(*make_eventfd(i, Counter::plain));
    return fds;
}

// Receives at most `at_most` bytes and returns them. Returns an empty string if no bytes have
// arrived.
std::string received(const UniqueFd& socket, std::deque<UniqueFd>& fds, std::size_t at_most = 4096)
{
    std::string bytes(at_most, '\0');
    const auto got = receive(socket, bytes, fds);
    REQUIRE(got);
    bytes.resize(*got ? (*got)->bytes : 0);
    return bytes;
}

std::string received(const UniqueFd& socket, std::size_t at_most = 4096)
{
    std::string bytes(at_most, '\0');
    const auto got = receive(socket, bytes);
    REQUIRE(got);
    bytes.resize(*got ? (*got)->bytes : 0);
    return bytes;
}

// Returns the read end and the write end of a pipe. The read end reports POLLHUP once every
// descriptor of the write end is closed.
std::array<UniqueFd, 2> make_pipe()
{
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    return {UniqueFd{ends[0]}, UniqueFd{ends[1]}};
}

bool is_hung_up(const UniqueFd& fd)
{
    pollfd polled{fd.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) == 1 && (polled.revents & POLLHUP) != 0;
}

TEST_CASE("sent bytes are received")
{
    const SocketPair pair;
    CHECK(send(pair.ours, "call\0and"sv, none()) == 8U);
    CHECK(received(pair.theirs) == "call\0and"s);

    std::deque<UniqueFd> fds;
    CHECK(send(pair.theirs, "reply", none()) == 5U);
    CHECK(received(pair.ours, fds) == "reply");
    CHECK(fds.empty());
}

TEST_CASE("an empty socket returns nothing yet, and a closed one returns zero bytes")
{
    SocketPair pair;
    std::array<char, 8> buffer{};
    std::deque<UniqueFd> fds;

    const auto plain = receive(pair.ours, buffer);
    REQUIRE(plain);
    CHECK_FALSE(*plain);
    const auto with_fds = receive(pair.ours, buffer, fds);
    REQUIRE(with_fds);
    CHECK_FALSE(*with_fds);

    pair.theirs = {};
    REQUIRE(receive(pair.ours, buffer));
    CHECK((*receive(pair.ours, buffer))->bytes == 0);
    CHECK((*receive(pair.ours, buffer, fds))->bytes == 0);
}

TEST_CASE("a full socket accepts nothing yet, and a partly full one accepts some bytes")
{
    const SocketPair pair;
    const std::string much(1 << 20, 'x');
    std::size_t sent = 0;
    while (true) {
        const auto more = send(pair.ours, much, none());
        REQUIRE(more);
        if (!*more)
            break;
        REQUIRE(**more > 0);
        sent += **more;
    }
    CHECK(sent > 0);

    std::size_t read = 0;
    for (auto bytes = received(pair.theirs); !bytes.empty(); bytes = received(pair.theirs))
        read += bytes.size();
    CHECK(read == sent);
    CHECK(*send(pair.ours, "x", none()) == 1U);
}

TEST_CASE("descriptors arrive with the first byte that they were sent with")
{
    const SocketPair pair;
    REQUIRE(send(pair.ours, "plain", none()) == 5U);
    REQUIRE(send(pair.ours, "carrier", numbered(2)) == 7U);
    std::deque<UniqueFd> fds;

    CHECK(received(pair.theirs, fds, 5) == "plain");
    CHECK(fds.empty());
    CHECK(received(pair.theirs, fds, 1) == "c");
    REQUIRE(fds.size() == 2);
    CHECK(received(pair.theirs, fds) == "arrier");
    CHECK(fds.size() == 2);
}

TEST_CASE("253 descriptors arrive in one message, in order and close-on-exec")
{
    const SocketPair pair;
    std::deque<UniqueFd> fds;
    REQUIRE(send(pair.ours, "x", numbered(max_descriptors_per_message)) == 1U);

    CHECK(received(pair.theirs, fds) == "x");

    REQUIRE(fds.size() == max_descriptors_per_message);
    std::uint64_t number = 0;
    for (const auto& fd : fds) {
        CHECK(count(fd) == ++number);
        CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    }
}

TEST_CASE("more than 253 descriptors are refused and nothing is sent")
{
    const auto count = GENERATE(254U, 400U);
    const SocketPair pair;

    const auto sent = send(pair.ours, "x", numbered(count));

    REQUIRE_FALSE(sent);
    CHECK(sent.error().error == EINVAL);
    CHECK(received(pair.theirs).empty());
}

TEST_CASE("descriptors of several messages are appended in the order of sending")
{
    const SocketPair pair;
    const auto all = numbered(3);
    const std::span sent{all};
    REQUIRE(send(pair.ours, "a", sent.first(1)) == 1U);
    REQUIRE(send(pair.ours, "b", none()) == 1U);
    REQUIRE(send(pair.ours, "c", sent.subspan(1)) == 1U);

    std::deque<UniqueFd> fds;
    std::string bytes;
    for (auto some = received(pair.theirs, fds); !some.empty(); some = received(pair.theirs, fds))
        bytes += some;

    CHECK(bytes == "abc");
    REQUIRE(fds.size() == 3);
    for (std::uint64_t i = 0; i < 3; ++i)
        CHECK(count(fds[i]) == i + 1);
}

TEST_CASE("descriptors are found beside other control messages")
{
    const SocketPair pair;
    const int enabled = 1;
    REQUIRE(::setsockopt(pair.theirs.get(), SOL_SOCKET, SO_PASSCRED, &enabled, sizeof enabled) ==
            0);
    REQUIRE(send(pair.ours, "x", numbered(3)) == 1U);

    std::array<char, 8> buffer{};
    std::deque<UniqueFd> fds;
    REQUIRE(receive(pair.theirs, buffer, fds));

    REQUIRE(fds.size() == 3);
    CHECK(*count(fds.back()) == *count(numbered(3).back()));
}

TEST_CASE("a sent descriptor outlives the sender's own")
{
    const SocketPair pair;
    {
        auto fds = numbered(1);
        REQUIRE(send(pair.ours, "x", fds) == 1U);
    }
    std::deque<UniqueFd> fds;
    received(pair.theirs, fds);

    REQUIRE(fds.size() == 1);
    CHECK(take(fds.front()) == 1U);
}

TEST_CASE("unexpected descriptors are closed and their bytes are read")
{
    const SocketPair pair;
    auto [reader, writer] = make_pipe();
    std::vector<UniqueFd> sent;
    sent.push_back(std::move(writer));
    REQUIRE(send(pair.ours, "bytes", sent) == 5U);
    sent.clear();
    // The write end of the pipe is in flight and therefore still open, see unix(7).
    REQUIRE_FALSE(is_hung_up(reader));

    CHECK(received(pair.theirs) == "bytes");

    CHECK(is_hung_up(reader));
}

TEST_CASE("received descriptors are closed with the list that holds them")
{
    const SocketPair pair;
    auto [reader, writer] = make_pipe();
    std::vector<UniqueFd> sent;
    sent.push_back(std::move(writer));
    REQUIRE(send(pair.ours, "x", sent) == 1U);
    sent.clear();

    std::deque<UniqueFd> fds;
    received(pair.theirs, fds);
    CHECK_FALSE(is_hung_up(reader));
    fds.clear();

    CHECK(is_hung_up(reader));
}

TEST_CASE("sending to a closed peer is a fault without SIGPIPE")
{
    SocketPair pair;
    pair.theirs = {};
    // With the default action, SIGPIPE would end this program.
    const auto before = std::signal(SIGPIPE, SIG_DFL);

    const auto plain = send(pair.ours, "x", none());
    const auto with_fds = send(pair.ours, "x", numbered(1));
    std::signal(SIGPIPE, before);

    REQUIRE_FALSE(plain);
    CHECK(plain.error().error == EPIPE);
    REQUIRE_FALSE(with_fds);
    CHECK(with_fds.error().error == EPIPE);
}

TEST_CASE("a call on a descriptor that is no socket is a fault")
{
    const auto not_a_socket = *make_eventfd(0, Counter::plain);
    std::array<char, 1> buffer{};
    std::deque<UniqueFd> fds;

    CHECK(receive(not_a_socket, buffer).error().error == ENOTSOCK);
    CHECK(receive(not_a_socket, buffer, fds).error().error == ENOTSOCK);
    CHECK(send(not_a_socket, "x", none()).error().error == ENOTSOCK);
    CHECK(peer_of(not_a_socket).error().error == ENOTSOCK);
    CHECK_FALSE(is_drained(not_a_socket));
}

TEST_CASE("a socket is drained once all sent bytes were read")
{
    const SocketPair pair;
    CHECK(is_drained(pair.ours));

    REQUIRE(send(pair.ours, "some bytes", numbered(1)) == 10U);
    CHECK_FALSE(is_drained(pair.ours));
    CHECK(is_drained(pair.theirs)); // Nothing was sent through `theirs`.

    CHECK(received(pair.theirs, 4) == "some");
    CHECK_FALSE(is_drained(pair.ours));

    CHECK(received(pair.theirs) == " bytes");
    CHECK(is_drained(pair.ours));
}

std::vector<gid_t> own_groups()
{
    std::vector<gid_t> groups(static_cast<std::size_t>(::getgroups(0, nullptr)));
    REQUIRE(::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0);
    return groups;
}

TEST_CASE("the peer has the credentials that the kernel reports")
{
    const SocketPair pair;

    const auto peer = peer_of(pair.ours);

    REQUIRE(peer);
    CHECK(peer->uid == ::geteuid());
    CHECK(peer->gid == ::getegid());
    CHECK(peer->pid == ::getpid());
    CHECK(peer->groups == own_groups());
}

TEST_CASE("a peer is reported with all of its groups, however many")
{
    if (::geteuid() != 0)
        skip("only root can have other groups");
    const auto count = GENERATE(0, 1, 16, 17, 1000);
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    std::iota(groups.begin(), groups.end(), gid_t{5000});

    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    // Groups belong to a whole process, so the test changes the groups of a child process.
    if (child == 0) {
        std::array<int, 2> ends{};
        if (::setgroups(groups.size(), groups.data()) < 0 ||
            ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) < 0)
            ::_exit(2);
        const auto peer = peer_of(UniqueFd{ends[0]});
        ::_exit(peer && peer->groups == groups ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

} // namespace
} // namespace evfd
