// A daemon whose replies the test writes by hand.
#pragma once

#include "client/core/address.h"
#include "common/socket.h"
#include "tests/support/catch.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace evfd {

// The daemon's end of one connection.
class ScriptedConnection {
public:
    explicit ScriptedConnection(UniqueFd socket) : socket_{std::move(socket)} {}

    // Returns the next call as text.
    std::string receive_call()
    {
        while (!unread_.contains('\0')) {
            pollfd polled{socket_.get(), POLLIN, 0};
            std::array<char, 4096> buffer;
            REQUIRE(::poll(&polled, 1, 30'000) == 1);
            const auto received = receive(socket_, buffer);
            REQUIRE((received && *received && (*received)->bytes > 0));
            unread_.append(buffer.data(), (*received)->bytes);
        }
        const auto end = unread_.find('\0');
        const auto call = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        return call;
    }
    void send_reply(std::string_view reply)
    {
        const auto frame = std::string{reply} + '\0';
        REQUIRE(send(socket_, frame).value() == frame.size());
    }

private:
    UniqueFd socket_;
    std::string unread_;
};

// The socket on which the scripted daemon listens.
class ScriptedDaemon {
public:
    ScriptedDaemon()
    {
        REQUIRE(::mkdtemp(directory_.data()));
        listen();
    }
    ~ScriptedDaemon()
    {
        close();
        ::rmdir(directory_.c_str());
    }
    Address address() const { return Address::at(directory_ + "/socket"); }
    void listen()
    {
        sockaddr_un socket_address{};
        socket_address.sun_family = AF_UNIX;
        std::strcpy(socket_address.sun_path, address().path.c_str());
        listener_ = UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&socket_address),
                       sizeof socket_address) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
    }
    void close()
    {
        listener_ = {};
        ::unlink(address().path.c_str());
    }
    bool has_pending_connection() const // Also true for a connection that has been closed again.
    {
        pollfd polled{listener_.get(), POLLIN, 0};
        return ::poll(&polled, 1, 0) == 1;
    }
    ScriptedConnection accept()
    {
        pollfd polled{listener_.get(), POLLIN, 0};
        REQUIRE(::poll(&polled, 1, 30'000) == 1);
        UniqueFd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
        REQUIRE(socket);
        return ScriptedConnection{std::move(socket)};
    }

private:
    std::string directory_ = "/tmp/evfd-line-XXXXXX";
    UniqueFd listener_;
};

} // namespace evfd
