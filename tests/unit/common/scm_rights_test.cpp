#include "common/scm_rights.h"

#include "common/eventfd.h"
#include "common/limits.h"
#include "tests/support/catch.h"
#include "tests/support/resource_limits.h"

#include <array>
#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd {
namespace {

struct PacketPair {
    PacketPair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
        ours = UniqueFd{ends[0]};
        theirs = UniqueFd{ends[1]};
    }
    Result<std::size_t> send(std::string_view bytes, std::span<const int> fds) const
    {
        std::array<iovec, 2> data{iovec{const_cast<char*>(bytes.data()), bytes.size() / 2},
                                  iovec{const_cast<char*>(bytes.data()) + bytes.size() / 2,
                                        bytes.size() - bytes.size() / 2}};
        return scm_rights::send(ours, data, fds);
    }
    UniqueFd ours;
    UniqueFd theirs;
};

TEST_CASE("a message arrives with its descriptors, in order")
{
    const PacketPair pair;
    const auto one = *make_eventfd(1, Counter::plain);
    const auto two = *make_eventfd(2, Counter::plain);
    CHECK(pair.send("some bytes", std::array{two.get(), one.get()}) == 10U);

    std::string bytes(20, '\0');
    const auto got = scm_rights::receive(pair.theirs, bytes);

    REQUIRE(got);
    CHECK(bytes.substr(0, got->bytes) == "some bytes");
    REQUIRE(got->fds.size() == 2);
    CHECK(count(got->fds[0]) == 2U);
    CHECK(count(got->fds[1]) == 1U);
    CHECK_FALSE(got->is_truncated);
    CHECK(scm_rights::receive(pair.theirs, bytes).error().error == EAGAIN);
}

TEST_CASE("a peek duplicates the descriptors and leaves the message in flight")
{
    const PacketPair pair;
    const auto fd = *make_eventfd(7, Counter::plain);
    REQUIRE(pair.send("xy", std::array{fd.get()}));
    std::string bytes(2, '\0');
    for (const int flags : std::array<int, 3>{MSG_PEEK, MSG_PEEK, 0}) {
        const auto got = scm_rights::receive(pair.theirs, bytes, flags);
        REQUIRE(got);
        REQUIRE(got->fds.size() == 1);
        CHECK(count(got->fds[0]) == 7U);
    }
    CHECK_FALSE(scm_rights::receive(pair.theirs, bytes, MSG_PEEK));
}

TEST_CASE("descriptors beyond the limit of open files are reported as missing")
{
    const PacketPair pair;
    const auto fd = *make_eventfd(0, Counter::plain);
    REQUIRE(pair.send("xy", std::array{fd.get(), fd.get()}));
    const auto next = *duplicate(fd);
    const DescriptorLimit limit{static_cast<rlim_t>(next.get()) + 2};
    std::string bytes(2, '\0');

    const auto got = scm_rights::receive(pair.theirs, bytes);

    REQUIRE(got);
    CHECK(got->bytes == 2);
    CHECK(got->fds.size() == 1);
    CHECK(got->is_truncated);
}

TEST_CASE("a message has at most as many descriptors as the kernel passes")
{
    const PacketPair pair;
    const auto fd = *make_eventfd(0, Counter::plain);
    std::vector<int> fds(max_descriptors_per_message + 1, fd.get());
    const auto refused = pair.send("xy", fds);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().error == EINVAL);
    fds.pop_back();
    REQUIRE(pair.send("xy", fds));
    std::string bytes(2, '\0');
    const auto got = scm_rights::receive(pair.theirs, bytes);
    REQUIRE(got);
    CHECK(got->fds.size() == max_descriptors_per_message);
}

} // namespace
} // namespace evfd
