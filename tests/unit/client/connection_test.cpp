#include "client/core/connection.h"

#include "client/core/address.h"
#include "common/envelope.h"
#include "common/eventfd.h"
#include "common/socket.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/resource_limits.h"
#include "tests/support/send_with_fds.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <string>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// A connection of a client, and the daemon's end of its socket. The test plays the daemon.
struct ConnectionPair {
    ConnectionPair()
    {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        connection.emplace(UniqueFd{ends[0]});
        daemon = UniqueFd{ends[1]};
    }
    void send_bytes(std::string_view bytes, const std::vector<UniqueFd>& descriptors = {})
    {
        REQUIRE(send(daemon, bytes, descriptors).value() == bytes.size());
    }
    std::string receive_bytes()
    {
        std::array<char, 4096> buffer;
        const auto received = receive(daemon, buffer);
        REQUIRE(received);
        return *received ? std::string{buffer.data(), (*received)->bytes} : "";
    }
    std::optional<Connection> connection;
    UniqueFd daemon;
};

Deadline soon()
{
    return monotonic_deadline(10s);
}

// Returns a reply to Open that passes `count` eventfds. The counters of the eventfds are `first`,
// `first` + 1, and so on.
std::string opened(std::size_t count, unsigned first, std::vector<UniqueFd>& descriptors)
{
    protocol::Open::Reply reply;
    std::vector<PassedFd> passed;
    for (std::size_t i = 0; i < count; ++i)
        reply.objects.push_back({Kind::event,
                                 Mode::semaphore,
                                 true,
                                 true,
                                 PassedFd{*make_eventfd(first++, Counter::plain)},
                                 {},
                                 {7}});
    if (count == 0)
        reply.objects.push_back({Kind::event, Mode::manual, false, true, {}, {}, {7}});
    std::string text;
    begin_reply(text);
    EncodeContext out{text, passed};
    encode(reply, out);
    end_reply(text, false);
    for (auto& one : passed)
        descriptors.push_back(std::move(one.fd));
    return text;
}

TEST_CASE("pipelined replies with 0, 1, 0, 2 and 0 descriptors each get their own")
{
    ConnectionPair ends;
    const std::array<std::size_t, 5> counts{0, 1, 0, 2, 0};
    for ([[maybe_unused]] const auto count : counts)
        REQUIRE(ends.connection->send(protocol::Open{{{{"a"_name}}}}, soon()));
    unsigned first = 1;
    for (const auto count : counts) {
        std::vector<UniqueFd> descriptors;
        const auto text = opened(count, first, descriptors);
        ends.send_bytes(text, descriptors);
        first += static_cast<unsigned>(count);
    }

    std::uint64_t expected = 1;
    for (const auto count : counts) {
        auto received = ends.connection->receive<protocol::Open>(soon());
        REQUIRE(received);
        std::size_t found = 0;
        for (const auto& object : received->reply.objects)
            if (object.file_descriptor) {
                CHECK(take(object.file_descriptor->fd).value() == expected++);
                ++found;
            }
        CHECK(found == count);
    }
}

TEST_CASE("a reply without descriptors leaves the descriptors to the reply that arrived with it")
{
    ConnectionPair ends;
    std::vector<UniqueFd> none;
    ends.send_bytes(opened(0, 1, none));
    std::vector<UniqueFd> descriptors;
    const auto second = opened(1, 7, descriptors);
    ends.send_bytes(second, descriptors);

    REQUIRE(ends.connection->receive<protocol::Open>(soon()));
    auto received = ends.connection->receive<protocol::Open>(soon());
    REQUIRE(received);
    CHECK(count(received->reply.objects.at(0).file_descriptor->fd).value() == 7);
}

TEST_CASE("a descriptor of an unread reply is closed with the connection")
{
    ConnectionPair ends;
    std::vector<UniqueFd> descriptors;
    const auto text = opened(1, 1, descriptors);
    const auto pipe_ends = [] {
        std::array<int, 2> fds{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
        return std::array{UniqueFd{fds[0]}, UniqueFd{fds[1]}};
    };
    auto [near, far] = pipe_ends();
    descriptors.clear();
    descriptors.push_back(std::move(far));
    ends.send_bytes(text, descriptors);
    descriptors.clear();

    CHECK(ends.connection->wait_readable(*soon()).value());
    ends.connection.reset();
    ends.daemon = {};

    std::array<char, 1> byte;
    // The read returns the end of file, because the other end of the socket is closed in every
    // process.
    CHECK(receive(near, byte).value().value().bytes == 0);
}

TEST_CASE("a reply that names a missing descriptor is a protocol error")
{
    ConnectionPair ends;
    std::vector<UniqueFd> descriptors;
    ends.send_bytes(opened(1, 1, descriptors));
    const auto received = ends.connection->receive<protocol::Open>(soon());
    REQUIRE_FALSE(received);
    CHECK(received.error().code == ErrorCode::system);
    CHECK_FALSE(ends.connection->is_usable());
}

TEST_CASE("descriptors beyond the descriptor limit are empty, and the next reply gets its own")
{
    ConnectionPair ends;
    for (const auto count : {2U, 0U, 1U}) {
        std::vector<UniqueFd> descriptors;
        const auto text = opened(count, 1, descriptors);
        ends.send_bytes(text, descriptors);
    }
    const auto free_descriptors = GENERATE(0U, 1U);
    {
        const auto next = static_cast<rlim_t>(make_eventfd(0, Counter::plain)->get());
        const DescriptorLimit limit{next + free_descriptors};
        const auto received = ends.connection->receive<protocol::Open>(soon());
        REQUIRE(received);
        std::size_t received_count = 0;
        for (const auto& object : received->reply.objects)
            received_count += object.file_descriptor->fd ? 1U : 0U;
        CHECK(received_count == free_descriptors);
    }
    REQUIRE(ends.connection->receive<protocol::Open>(soon()));
    const auto last = ends.connection->receive<protocol::Open>(soon());
    REQUIRE(last);
    CHECK(take(last->reply.objects.at(0).file_descriptor->fd).value() == 1);
}

TEST_CASE("a call is one whole frame and carries its reply mode")
{
    ConnectionPair ends;
    REQUIRE(ends.connection->send(protocol::Show{"a/b"_name}, soon()));
    CHECK(ends.receive_bytes() ==
          R"({"method":"io.evfdd.Show","parameters":{"name":"a/b"}})"s + '\0');
    REQUIRE(ends.connection->send(protocol::Monitor{}, soon(), ReplyMode::stream));
    CHECK(ends.receive_bytes() ==
          R"({"method":"io.evfdd.Monitor","parameters":{},"more":true})"s + '\0');
    REQUIRE(ends.connection->send(protocol::Status{}, soon(), ReplyMode::none));
    CHECK(ends.receive_bytes() ==
          R"({"method":"io.evfdd.Status","parameters":{},"oneway":true})"s + '\0');
}

TEST_CASE("an error reply becomes an error with its message, and the connection stays usable")
{
    const auto [error, parameters, code,
                sentence] = GENERATE(table<std::string, std::string, ErrorCode, std::string>({
        {"io.evfdd.NoSuchName", R"({"name":"a","message":"M."})", ErrorCode::no_such_name, "M."},
        {"io.evfdd.NameTaken", R"({"name":"a","message":"M."})", ErrorCode::name_taken, "M."},
        {"io.evfdd.WrongKind", R"({"name":"a","message":"M."})", ErrorCode::name_taken, "M."},
        {"io.evfdd.NotPermitted", R"({"message":"M."})", ErrorCode::refused, "M."},
        {"io.evfdd.QuotaExceeded", R"({"message":"M.","new":[1]})", ErrorCode::refused, "M."},
        {"io.evfdd.OutOfDescriptors", R"({"message":"M."})", ErrorCode::refused, "M."},
        {"io.evfdd.TooManyTokens", R"({"message":"M."})", ErrorCode::refused, "M."},
        {"io.evfdd.TimedOut", R"({"message":"M."})", ErrorCode::timed_out, "M."},
        {"io.evfdd.Deleted", R"({"message":"M."})", ErrorCode::deleted, "M."},
        {"io.evfdd.SystemFailure", R"({"message":"M."})", ErrorCode::system, "M."},
        {"org.varlink.service.PermissionDenied", "{}", ErrorCode::refused, "PermissionDenied"},
        {"org.varlink.service.InvalidParameter", R"({"parameter":"mode"})", ErrorCode::invalid,
         "'mode'"},
        {"io.evfdd.FromTheFuture", "{}", ErrorCode::system, "FromTheFuture"},
    }));
    ConnectionPair ends;
    std::string text;
    append_error(text, error, parameters);
    ends.send_bytes(text);
    const auto received = ends.connection->receive<protocol::Show>(soon());
    REQUIRE_FALSE(received);
    CHECK(received.error().code == code);
    CHECK(received.error().message.contains(sentence));
    CHECK(ends.connection->is_usable());
}

TEST_CASE("a connection fails after a malformed reply")
{
    const auto bytes = GENERATE("{}}"s, "[]"s, R"({"parameters":{},"more":true})"s, "x"s,
                                R"({"parameters":{"created":1,"id":7}})"s, R"({"parameters":{}})"s);
    ConnectionPair ends;
    ends.send_bytes(bytes + '\0');
    const auto received = ends.connection->receive<protocol::CreateEvent>(soon());
    REQUIRE_FALSE(received);
    CHECK(received.error().code == ErrorCode::system);
    CHECK_FALSE(ends.connection->is_usable());
}

TEST_CASE("unknown fields of a newer daemon's reply are ignored")
{
    ConnectionPair ends;
    ends.send_bytes(R"({"parameters":{"created":true,"id":7,"colour":{"of":["the",1]}}})"s + '\0');
    CHECK(ends.connection->receive<protocol::CreateEvent>(soon()).value().reply.created);
}

TEST_CASE("a silent daemon and a closed connection are distinguished")
{
    ConnectionPair ends;
    REQUIRE(ends.connection->send(protocol::Status{}, soon()));
    SECTION("the daemon is silent")
    {
        const auto received = ends.connection->receive<protocol::Status>(monotonic_now());
        REQUIRE_FALSE(received);
        CHECK(received.error().code == ErrorCode::no_daemon);
    }
    SECTION("the daemon is silent in the middle of a reply")
    {
        ends.send_bytes(R"({"parameters")");
        const auto received = ends.connection->receive<protocol::Status>(monotonic_deadline(1ms));
        REQUIRE_FALSE(received);
        CHECK(received.error().code == ErrorCode::no_daemon);
    }
    SECTION("the daemon has closed the connection")
    {
        ends.daemon = {};
        const auto received = ends.connection->receive<protocol::Status>(soon());
        REQUIRE_FALSE(received);
        CHECK(received.error().code == ErrorCode::interrupted);
    }
    CHECK_FALSE(ends.connection->is_usable());
}

TEST_CASE("the error for a silent daemon names the place of its log")
{
    CHECK(no_reply_message(Address::system().path) ==
          "the daemon does not answer; see journalctl -u evfdd, or restart it");
    CHECK(no_reply_message("/tmp/elsewhere") ==
          "the daemon does not answer; see whether it is stuck, or restart it");
}

// Closes the daemon's end after an error that no call caused.
void close_with_reason(ConnectionPair& ends)
{
    std::string refusal;
    append_error(refusal, "io.evfdd.QuotaExceeded", R"({"message":"Too many."})");
    ends.send_bytes(refusal);
    ends.daemon = {};
}

TEST_CASE("the last error of a daemon that closed the connection is still read")
{
    ConnectionPair ends;
    SECTION("the daemon gave a reason")
    {
        close_with_reason(ends);
        REQUIRE(ends.connection->send(protocol::Status{}, soon()));
        const auto received = ends.connection->receive<protocol::Status>(soon());
        REQUIRE_FALSE(received);
        CHECK(received.error().code == ErrorCode::refused);
        CHECK(received.error().message == "Too many.");
    }
    SECTION("the daemon gave no reason")
    {
        ends.daemon = {};
        REQUIRE(ends.connection->send(protocol::Status{}, soon()));
        const auto received = ends.connection->receive<protocol::Status>(soon());
        REQUIRE_FALSE(received);
        CHECK(received.error().code == ErrorCode::interrupted);
    }
}

TEST_CASE("a poll for a reply that is incomplete does not block, and can be repeated")
{
    using protocol::Monitor;
    ConnectionPair ends;
    const auto reply = R"({"parameters":{"sequence":1,"change":"ready"},"continues":true})" + "\0"s;
    CHECK_FALSE(ends.connection->try_receive<Monitor>().value());
    ends.send_bytes(reply.substr(0, 9));
    CHECK_FALSE(ends.connection->try_receive<Monitor>().value());
    ends.send_bytes(reply.substr(9) + reply + reply.substr(0, 1));
    for (int i = 0; i < 2; ++i) {
        const auto received = ends.connection->try_receive<Monitor>().value();
        REQUIRE(received);
        CHECK(received->reply.change == Change::ready);
        CHECK(received->continues);
    }
    CHECK_FALSE(ends.connection->try_receive<Monitor>().value());

    ends.daemon = {};
    const auto last = ends.connection->try_receive<Monitor>();
    REQUIRE_FALSE(last);
    CHECK(last.error().code == ErrorCode::interrupted);
    CHECK_FALSE(ends.connection->is_usable());
}

TEST_CASE("a one-way call reports the reason of a daemon that closed the connection")
{
    ConnectionPair ends;
    SECTION("the daemon gave a reason")
    {
        close_with_reason(ends);
        const auto sent = ends.connection->send_oneway_frame("{}\0"s, soon());
        REQUIRE_FALSE(sent);
        CHECK(sent.error().code == ErrorCode::refused);
        CHECK(sent.error().message == "Too many.");
    }
    SECTION("the daemon gave no reason")
    {
        ends.daemon = {};
        const auto sent = ends.connection->send_oneway_frame("{}\0"s, soon());
        REQUIRE_FALSE(sent);
        CHECK(sent.error().code == ErrorCode::interrupted);
    }
    CHECK_FALSE(ends.connection->is_usable());
}

TEST_CASE("a connection stays usable after a one-way call that found a full socket, and not after "
          "a part of one")
{
    ConnectionPair ends;
    const auto send_until_late = [&](const std::string& frame) {
        while (true) {
            const auto sent = ends.connection->send_oneway_frame(frame, monotonic_deadline(1ms));
            if (sent)
                continue;
            CHECK(sent.error().code == ErrorCode::no_daemon);
            return;
        }
    };
    send_until_late(std::string(100, 'x'));
    CHECK_FALSE(ends.connection->has_sent());
    CHECK(ends.connection->is_usable());

    // Makes room for a part of the next frame.
    while (!ends.receive_bytes().empty()) {
    }
    send_until_late(std::string(4'000'000, 'x'));
    CHECK(ends.connection->has_sent());
    CHECK_FALSE(ends.connection->is_usable());
}

} // namespace
} // namespace evfd
