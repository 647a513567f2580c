// A service for unit tests. Socketpairs connect the clients of a test to the service.
//
// The event loop runs only when the test calls run_until_idle(). So a test first sends a call, then
// calls run_until_idle() to let the service execute the call, and then calls reply(). No function
// blocks: if no reply has arrived, reply() returns an empty string.
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

// The client's end of a connection. No function of a TestClient blocks.
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
    // Returns the oldest received reply as text, or an empty string if no complete reply has
    // arrived.
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
    // Sends a call, runs the loop until it is idle and returns the reply.
    std::string request(TestClient& client, std::string_view method,
                        std::string_view parameters = "{}", bool more = false)
    {
        client.call(method, parameters, more);
        run_until_idle(loop);
        return client.reply();
    }
};

} // namespace evfd::daemon
