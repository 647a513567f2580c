#include "daemon/service/output_queue.h"

#include "tests/support/service_fixture.h"

#include <fcntl.h>

#include <algorithm>
#include <type_traits>

namespace evfd::daemon {
namespace {

using Flushed = OutputQueue::Flushed;

struct SocketPair {
    SocketPair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        daemon_end = UniqueFd{ends[0]};
        client = TestClient{UniqueFd{ends[1]}};
    }
    UniqueFd daemon_end;
    TestClient client{UniqueFd{}};
};

// Queues a reply with `text` and with eventfds, whose counters are `first`, `first` + 1, and so on.
void put(OutputQueue& queue, const std::string& text, unsigned descriptors = 0, unsigned first = 1)
{
    if (descriptors == 0) {
        protocol::GetInterfaceDescription::Reply reply{text};
        queue.reply(reply, false);
        return;
    }
    protocol::Open::Reply reply;
    for (unsigned i = 0; i < descriptors; ++i)
        reply.objects.push_back({Kind::event,
                                 Mode::manual,
                                 true,
                                 true,
                                 PassedFd{*make_eventfd(first + i, Counter::plain)},
                                 text,
                                 {7}});
    queue.reply(reply, false);
}

// flush() requires a Committed, which proves that a commit was made. Only the service can create a
// Committed, and nobody can copy it.
static_assert(!std::is_default_constructible_v<Committed>);
static_assert(!std::is_copy_constructible_v<Committed>);

TEST_CASE("replies and errors are sent in order, each as a frame")
{
    SocketPair pair;
    OutputQueue queue;
    CHECK(queue.is_empty());
    put(queue, "one");
    queue.error(protocol::ExpectedMore{});
    protocol::CreateEvent::Reply last{true, {7}};
    queue.reply(last, true);
    CHECK_FALSE(queue.is_empty());

    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::all);

    CHECK(queue.is_empty());
    CHECK(pair.client.reply() == R"({"parameters":{"description":"one"}})");
    CHECK(pair.client.reply() == R"({"error":"org.varlink.service.ExpectedMore","parameters":{}})");
    CHECK(pair.client.reply() == R"({"parameters":{"created":true,"id":7},"continues":true})");
    CHECK(pair.client.reply().empty());
}

TEST_CASE("descriptors are sent with the first byte of their reply and with no other")
{
    SocketPair pair;
    OutputQueue queue;
    put(queue, "none");
    put(queue, "two", 2, 10);
    put(queue, "none again");
    REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::all);

    const auto first = R"({"parameters":{"description":"none"}})"s.size() + 1;
    CHECK(pair.client.receive_some(first) == first);
    CHECK(pair.client.descriptors.empty());
    CHECK(pair.client.receive_some(1) == 1);
    REQUIRE(pair.client.descriptors.size() == 2);
    CHECK(count(pair.client.descriptors[0]) == 10U);
    CHECK(count(pair.client.descriptors[1]) == 11U);
    while (!pair.client.reply().empty()) {
    }
    CHECK(pair.client.descriptors.size() == 2);
}

TEST_CASE("some descriptors are sent before earlier ones were read, and more of them wait")
{
    SocketPair pair;
    OutputQueue queue;
    for (unsigned i = 0; i < max_unconfirmed_fds; ++i) {
        put(queue, "x", 1, i);
        REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
        CHECK(queue.unread_descriptors() == i + 1);
    }
    put(queue, "x", 1, 99);
    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::peer_has_unread_fds);

    for (unsigned i = 0; i < max_unconfirmed_fds; ++i)
        CHECK_FALSE(pair.client.reply().empty());
    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
    CHECK(queue.unread_descriptors() == 1);
    CHECK_FALSE(pair.client.reply().empty());
    CHECK(count(pair.client.descriptors.back()) == 99U);
}

TEST_CASE("later descriptors are sent only after the peer has read all earlier ones")
{
    SocketPair pair;
    OutputQueue queue;
    put(queue, "first", max_unconfirmed_fds, 1);
    put(queue, "plain");
    put(queue, "second", 1, 2);
    put(queue, "last");

    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::peer_has_unread_fds);
    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::peer_has_unread_fds);
    CHECK_FALSE(queue.is_empty());
    CHECK(pair.client.receive_some(10) == 10); // The client has read only a part of the replies.
    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::peer_has_unread_fds);
    CHECK(pair.client.reply().contains("first"));
    CHECK(pair.client.reply().contains("plain"));
    CHECK(pair.client.reply().empty());

    CHECK(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
    CHECK(pair.client.reply().contains("second"));
    CHECK(pair.client.reply().contains("last"));
    REQUIRE(pair.client.descriptors.size() == max_unconfirmed_fds + 1);
    CHECK(count(pair.client.descriptors.back()) == 2U);
}

TEST_CASE("one reply carries as many descriptors as a message holds")
{
    SocketPair pair;
    OutputQueue queue;
    constexpr auto most = static_cast<unsigned>(max_descriptors_per_message);
    put(queue, "x", most);
    REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
    CHECK_FALSE(pair.client.reply().empty());
    REQUIRE(pair.client.descriptors.size() == most);
    CHECK(count(pair.client.descriptors.back()) == most);
}

TEST_CASE("a full socket does not block, and the rest is sent later in order")
{
    SocketPair pair;
    OutputQueue queue;
    const std::string large(200'000, 'x');
    put(queue, large);
    put(queue, "riding", 1);
    put(queue, large);
    REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::socket_full);
    CHECK(queue.above_high_water());

    std::vector<std::string> replies;
    for (int round = 0; round < 1'000 && replies.size() < 3; ++round) {
        if (auto reply = pair.client.reply(); !reply.empty())
            replies.push_back(std::move(reply));
        REQUIRE(queue.flush_without_changes(pair.daemon_end));
    }
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].size() > large.size());
    CHECK(replies[1].contains("riding"));
    CHECK(replies[2].size() > large.size());
    CHECK(pair.client.descriptors.size() == 1);
    CHECK(queue.is_empty());
}

TEST_CASE("a queued reply outlives the object that it describes")
{
    SocketPair pair;
    OutputQueue queue;
    {
        RegistryFixture fixture;
        fixture.create("e", Mode::semaphore, 7);
        auto opened = fixture.registry.open(fixture.owner, names({"e"}));
        REQUIRE(opened);
        protocol::Open::Reply reply{*std::move(opened)};
        queue.reply(reply, false);
        REQUIRE(fixture.registry.delete_objects(fixture.owner.peer, names({"e"})));
    }
    REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
    CHECK_FALSE(pair.client.reply().empty());
    REQUIRE(pair.client.descriptors.size() == 1);
    CHECK(count(pair.client.descriptors[0]) == 7U);
}

TEST_CASE("unsent descriptors are closed with the queue")
{
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd read_end{ends[0]};
    {
        OutputQueue queue;
        protocol::Open::Reply reply;
        reply.objects.push_back(
            {Kind::event, Mode::manual, true, true, PassedFd{UniqueFd{ends[1]}}, {}, {7}});
        queue.reply(reply, false);
        CHECK_FALSE(is_ready(read_end, POLLHUP));
    }
    CHECK(is_ready(read_end, POLLHUP));
}

TEST_CASE("a queue is above high water beyond its mark and not at it")
{
    OutputQueue queue;
    OutputQueue empty_reply;
    put(empty_reply, "");
    const auto around = R"({"parameters":{"description":""}})"s.size() + 1;
    put(queue, std::string(output_high_water_bytes - around, 'x'));
    CHECK_FALSE(queue.above_high_water());
    put(queue, "");
    CHECK(queue.above_high_water());
}

TEST_CASE("a queue that is never quite empty does not grow")
{
    SocketPair pair;
    OutputQueue queue;
    const std::string text(1'000, 'x'); // The reply contains this text once for each descriptor.
    put(queue, text, max_unconfirmed_fds);
    std::size_t most = 0;
    for (int round = 0; round < 500; ++round) {
        put(queue, text, max_unconfirmed_fds);
        REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::peer_has_unread_fds);
        most = std::max(most, queue.capacity_bytes());
        REQUIRE_FALSE(pair.client.reply().empty());
        // The client has read one reply, so it has received only the descriptors of this reply.
        CHECK(pair.client.descriptors.size() == max_unconfirmed_fds);
        pair.client.descriptors.clear();
    }
    CHECK(most < 10 * max_unconfirmed_fds * text.size());
}

TEST_CASE("an empty queue keeps no memory")
{
    SocketPair pair;
    OutputQueue queue;
    put(queue, std::string(10'000, 'x'));
    REQUIRE(queue.flush_without_changes(pair.daemon_end) == Flushed::all);
    CHECK(queue.capacity_bytes() < 100);
}

TEST_CASE("a closed peer is a fault and not a signal")
{
    SocketPair pair;
    OutputQueue queue;
    put(queue, "x");
    pair.client.socket = {};
    const auto flushed = queue.flush_without_changes(pair.daemon_end);
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().error == EPIPE);
}

} // namespace
} // namespace evfd::daemon
