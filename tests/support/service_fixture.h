// A service for unit tests, with clients at socketpairs.
//
// The test runs the loop by hand: a call is sent, run_until_idle() lets the service serve it, and
// reply() returns what has arrived by then. Nothing blocks, so a missing reply is an empty string.
#pragma once

#include "common/envelope.h"
#include "tests/support/connected_service.h"
#include "tests/support/frame_socket.h"
#include "tests/support/registry_fixture.h"
#include "tests/support/temporary_directory.h"

#include <poll.h>

#include <string>
#include <string_view>
#include <utility>

namespace evfd::daemon {

// Returns the text as a message on the wire, which ends with a zero byte.
inline std::string framed(std::string_view text)
{
    return std::string{text} + '\0';
}

// The client's end of a connection, which never blocks.
class TestClient : public FrameSocket {
public:
    using FrameSocket::FrameSocket;

    void send(std::string_view bytes)
    {
        const auto sent = evfd::send(socket, bytes);
        REQUIRE((sent && *sent == bytes.size()));
    }
    void call(std::string_view method, std::string_view parameters = "{}", bool more = false)
    {
        std::string bytes;
        append_call(bytes, "io.evfdd." + std::string{method}, parameters,
                    more ? ReplyMode::stream : ReplyMode::one);
        send(bytes);
    }
    // Returns the next received reply as text, or an empty string.
    std::string reply()
    {
        while (true) {
            if (auto frame = next_frame())
                return *std::move(frame);
            if (receive_some().value_or(0) == 0)
                return {};
        }
    }
    bool is_disconnected() const { return is_ready(socket, POLLHUP); }
};

// A ConnectedService with functions that connect clients and call methods.
class ServiceFixture : public ConnectedService {
public:
    explicit ServiceFixture(Limits limits = default_limits, std::int64_t budget = ample_budget)
        : ConnectedService{{limits}, make_incrementer(), {budget, ample_budget}}
    {
    }
    // Recovers the state that an earlier instance left in the descriptors `inherited`.
    explicit ServiceFixture(StateStore::Descriptors inherited, nanoseconds grace = 1h)
        : ConnectedService{
              {}, make_incrementer(), {ample_budget, ample_budget}, std::move(inherited), grace}
    {
    }

    TestClient connect(uid_t uid = alice)
    {
        TestClient client{ConnectedService::connect(make_peer(uid))};
        REQUIRE(client.socket);
        return client;
    }
    // Calls a method, runs the loop and returns the reply.
    std::string request(TestClient& client, std::string_view method,
                        std::string_view parameters = "{}", bool more = false)
    {
        client.call(method, parameters, more);
        run_until_idle(loop);
        return client.reply();
    }
};

} // namespace evfd::daemon
