// A socket whose close(2) blocks for longer than any test runs.
#pragma once

#include "common/unique_fd.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>
#include <string>

namespace evfd {

// A TCP socket with the option SO_LINGER (see socket(7)) and with data that cannot be sent, because
// the peer does not read. While this object lives, a close(2) of the socket's last descriptor
// blocks.
class LingeringSocket {
public:
    static constexpr int seconds = 600;

    LingeringSocket()
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        require(::bind(listener_.get(), name, size) == 0);
        require(::listen(listener_.get(), 1) == 0);
        require(::getsockname(listener_.get(), name, &size) == 0);
        require(::connect(sender_.get(), name, size) == 0);
        const std::string filler(1 << 16, 'x');
        while (::send(sender_.get(), filler.data(), filler.size(), MSG_DONTWAIT) > 0) {
        }
        require(linger(seconds));
    }
    LingeringSocket(LingeringSocket&&) noexcept = default;
    LingeringSocket& operator=(LingeringSocket&&) = delete;
    ~LingeringSocket()
    {
        // Disables SO_LINGER. With SO_LINGER the destructor of sender_ would block.
        if (sender_)
            linger(0);
    }

    const UniqueFd& fd() const { return sender_; }
    // Closes the test's descriptor of the socket. The test must have sent a duplicate in a message
    // that nobody has received yet. This duplicate is then the last reference to the socket, and
    // close_sender() does not block.
    void close_sender() { sender_ = {}; }

private:
    bool linger(int span) const
    {
        const struct linger option{.l_onoff = 1, .l_linger = span};
        return ::setsockopt(sender_.get(), SOL_SOCKET, SO_LINGER, &option, sizeof option) == 0;
    }
    static void require(bool holds)
    {
        if (!holds)
            throw std::runtime_error{"the loopback interface has no TCP"};
    }

    UniqueFd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    UniqueFd sender_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

} // namespace evfd
