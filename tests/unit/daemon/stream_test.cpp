// Tests the stream of bytes of one client, without a service.
#include "daemon/ipc/stream.h"

#include "common/scm_rights.h"
#include "tests/support/send_with_fds.h"
#include "tests/support/service_fixture.h"

#include <array>
#include <cerrno>
#include <optional>

namespace evfd::daemon {
namespace {

using Need = Stream::Need;
using State = Stream::State;

// A stream of a client. The fixture counts how often the loop reports events of the stream, and
// leaves the reading to the test.
struct StreamFixture {
    explicit StreamFixture(IncomingFds descriptors = IncomingFds::none)
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        client.emplace(UniqueFd{ends[1]});
        stream.emplace(UniqueFd{ends[0]}, descriptors);
        REQUIRE(stream->attach(loop, [this](std::uint32_t events) {
            ++times_reported;
            stream->on_events(events);
        }));
    }

    // Runs one iteration of the loop, which must report input. Reads the stream once.
    std::expected<void, std::string> read()
    {
        run_iterations(loop, 1);
        REQUIRE(stream->has_unread_input());
        return stream->read();
    }
    // Runs some iterations of the loop. Returns how many times the loop reported events of the
    // stream.
    int reports(int iterations = 5)
    {
        times_reported = 0;
        run_iterations(loop, iterations);
        return times_reported;
    }
    State state() const
    {
        if (stream->peer_hung_up())
            return stream->input_is_open() ? State::hung_up : State::closed;
        return stream->input_is_open() ? State::open : State::input_closed;
    }

    EventLoop loop;
    int times_reported = 0;
    std::optional<TestClient> client;
    std::optional<Stream> stream;
};

void put_reply(OutputQueue& output, const std::string& text = "text")
{
    protocol::GetInterfaceDescription::Reply reply{text};
    output.reply(reply, false);
}

TEST_CASE("a stream hands out calls in order, and an incomplete one when it is complete")
{
    StreamFixture fixture;
    fixture.client->send(framed("one") + framed("two") + "thr");
    REQUIRE(fixture.read());
    CHECK(fixture.stream->has_calls());
    CHECK(fixture.stream->next_call() == "one");
    CHECK(fixture.stream->next_call() == "two");
    CHECK(fixture.stream->next_call() == std::nullopt);
    CHECK_FALSE(fixture.stream->has_calls());

    fixture.client->send(framed("ee"));
    REQUIRE(fixture.read());
    CHECK(fixture.stream->next_call() == "three");
}

TEST_CASE("a peer that shuts down sending closes the input")
{
    StreamFixture fixture;
    CHECK(fixture.state() == State::open);
    REQUIRE(::shutdown(fixture.client->socket.get(), SHUT_WR) == 0);
    REQUIRE(fixture.read());
    CHECK(fixture.state() == State::input_closed);
}

TEST_CASE("the input of a peer that has hung up is read to its end")
{
    StreamFixture fixture;
    fixture.client->send(framed("last"));
    fixture.client.reset();
    REQUIRE(fixture.read());
    CHECK(fixture.state() == State::hung_up);
    CHECK(fixture.stream->next_call() == "last");
    REQUIRE(fixture.read());
    CHECK(fixture.state() == State::closed);
    CHECK_FALSE(fixture.stream->has_unread_input());
}

TEST_CASE("a peer that shuts down sending and then closes has hung up")
{
    StreamFixture fixture;
    REQUIRE(::shutdown(fixture.client->socket.get(), SHUT_WR) == 0);
    REQUIRE(fixture.read());
    fixture.client.reset();
    CHECK(fixture.reports(1) == 1);
    CHECK(fixture.state() == State::closed);
}

TEST_CASE("input that the owner does not take is reported once, and again when it takes input")
{
    StreamFixture fixture;
    REQUIRE(fixture.stream->await(Need::no_input));
    fixture.client->send(framed("call"));
    CHECK(fixture.reports(1) == 1);
    REQUIRE(fixture.stream->await(Need::no_input));
    CHECK(fixture.reports() == 0);

    REQUIRE(fixture.stream->await(Need::input));
    REQUIRE(fixture.read());
    CHECK(fixture.stream->next_call() == "call");
    REQUIRE(fixture.stream->await(Need::input));
    CHECK(fixture.reports() == 0);
}

TEST_CASE("a hangup is not reported over and over to an owner that goes on")
{
    StreamFixture fixture;
    fixture.client.reset();
    CHECK(fixture.reports(1) == 1);
    REQUIRE(fixture.stream->await(Need::no_hangup));
    // The kernel reports the hangup once more when the epoll mask changes.
    CHECK(fixture.reports() <= 1);
    CHECK(fixture.reports() == 0);
}

TEST_CASE("output that the socket does not take is sent when the peer has read")
{
    StreamFixture fixture;
    put_reply(fixture.stream->output(), std::string(1'000'000, 'x'));
    CHECK(fixture.stream->flush_without_changes() == OutputQueue::Flushed::socket_full);
    CHECK(fixture.stream->is_blocked());
    REQUIRE(fixture.stream->await(Need::no_input));
    fixture.client->send(framed("call")); // New input is not reported while output is unsent.
    CHECK(fixture.reports() <= 1);        // The change of the epoll mask can cause one report.
    CHECK(fixture.reports() == 0);

    REQUIRE(fixture.client->receive_some(1'000'000).value_or(0) > 0);
    CHECK(fixture.reports() > 0);
}

TEST_CASE("output for a peer that can no longer receive is dropped")
{
    StreamFixture fixture;
    fixture.client.reset();
    put_reply(fixture.stream->output());
    const auto flushed = fixture.stream->flush_without_changes();
    REQUIRE_FALSE(flushed);
    CHECK(flushed.error().error == EPIPE);
    CHECK_FALSE(fixture.stream->is_blocked());
}

TEST_CASE("a stream that may contain descriptors refuses them and does not receive them")
{
    StreamFixture fixture{IncomingFds::possible};
    fixture.client->send(framed("call"));
    REQUIRE(fixture.read());
    CHECK(fixture.stream->next_call() == "call");

    const std::array<UniqueFd, 1> sent{*make_eventfd(0, Counter::plain)};
    REQUIRE(evfd::send(fixture.client->socket, framed("call"), sent));
    CHECK(fixture.read() == std::unexpected("it sent descriptors, which no call accepts"));
    CHECK(fixture.stream->next_call() == std::nullopt);
    std::array<char, 16> bytes{}; // The message is still in the socket, with its descriptor.
    CHECK(scm_rights::receive(fixture.stream->socket(), bytes).value().fds.size() == 1);
}

TEST_CASE("an incomplete call is long above the number of bytes that are not charged")
{
    StreamFixture fixture;
    const auto bytes = max_uncounted_call_bytes + 1;
    std::size_t sent = 0;
    while (sent < bytes) {
        CHECK_FALSE(fixture.stream->is_long_call());
        const auto now = std::min<std::size_t>(bytes - sent, 16 * 1024);
        fixture.client->send(std::string(now, 'x'));
        REQUIRE(fixture.read());
        sent += now;
        CHECK(fixture.stream->next_call() == std::nullopt);
    }
    CHECK(fixture.stream->is_long_call());
    fixture.client->send(framed(""));
    REQUIRE(fixture.read());
    CHECK(fixture.stream->next_call().value().value().size() == bytes);
    CHECK_FALSE(fixture.stream->is_long_call());
}

} // namespace
} // namespace evfd::daemon
