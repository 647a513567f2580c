// A descriptor whose last close sleeps longer than any test waits.
#pragma once

#include "common/unique_fd.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <stdexcept>
#include <string>

namespace evfd {

// A TCP socket with SO_LINGER and more sent than its peer, which does not read, has room for.
// socket(7)
class Lingering {
public:
    static constexpr int seconds = 600;

    Lingering()
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const name = reinterpret_cast<sockaddr*>(&address);
        const linger long_one{.l_onoff = 1, .l_linger = seconds};
        require(::bind(listener_.get(), name, size) == 0);
        require(::listen(listener_.get(), 1) == 0);
        require(::getsockname(listener_.get(), name, &size) == 0);
        require(::connect(sender_.get(), name, size) == 0);
        const std::string much(1 << 16, 'x');
        while (::send(sender_.get(), much.data(), much.size(), MSG_DONTWAIT) > 0) {
        }
        require(::setsockopt(sender_.get(), SOL_SOCKET, SO_LINGER, &long_one, sizeof long_one) ==
                0);
    }

    const UniqueFd& fd() const { return sender_; }

private:
    static void require(bool holds)
    {
        if (!holds)
            throw std::runtime_error{"there is no TCP on the loopback interface"};
    }

    UniqueFd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    UniqueFd sender_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
};

} // namespace evfd
