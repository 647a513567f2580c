// A daemon whose replies the test writes by hand.
//
// A scripted daemon accepts the connection of a client library, returns each call as text and sends
// whatever the test wants the library to read: replies in pieces, malformed replies, or no reply.
// The scripted daemon runs in the thread of the test. So the test needs another thread to make a
// library call that waits for a reply.
#pragma once

#include "client/core/address.h"
#include "common/socket.h"
#include "tests/support/catch.h"
#include "tests/support/frame_socket.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/unix_address.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

namespace evfd {

// The scripted daemon's end of one connection.
class ScriptedConnection : private FrameSocket {
public:
    using FrameSocket::FrameSocket;

    // Waits for the next call and returns it as text.
    std::string receive_call()
    {
        while (true) {
            if (auto call = next_frame())
                return *std::move(call);
            pollfd polled{socket.get(), POLLIN, 0};
            REQUIRE(::poll(&polled, 1, 30'000) == 1);
            REQUIRE(receive_some().value_or(0) > 0);
        }
    }
    void send_reply(std::string_view reply)
    {
        const auto frame = std::string{reply} + '\0';
        REQUIRE(send(socket, frame).value() == frame.size());
    }
};

// The socket on which the scripted daemon listens.
class ScriptedDaemon {
public:
    ScriptedDaemon() { listen(); }
    Address address() const { return Address::at(directory_ / "socket"); }
    void listen()
    {
        listener_ = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(bind_path(listener_, address().path) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
    }
    void close()
    {
        listener_ = {};
        ::unlink(address().path.c_str());
    }
    // Returns whether a connection waits to be accepted. A connection that the client has already
    // closed counts too.
    bool has_pending_connection() const
    {
        pollfd polled{listener_.get(), POLLIN, 0};
        return ::poll(&polled, 1, 0) == 1;
    }
    ScriptedConnection accept()
    {
        pollfd polled{listener_.get(), POLLIN, 0};
        REQUIRE(::poll(&polled, 1, 30'000) == 1);
        UniqueFd connected{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        REQUIRE(connected);
        return ScriptedConnection{std::move(connected)};
    }

private:
    TemporaryDirectory directory_;
    UniqueFd listener_;
};

} // namespace evfd
