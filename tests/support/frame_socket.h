// The messages that a test receives on a connection: the received bytes, split at zero bytes.
#pragma once

#include "common/socket.h"
#include "common/unique_fd.h"

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace evfd {

// One end of a connection. It is the base of the clients and of the scripted daemon, which differ
// in how they wait for a message and how they report that none arrives.
class FrameSocket {
public:
    explicit FrameSocket(UniqueFd connected) : socket{std::move(connected)} {}

    // Calls recvmsg(2) once, without blocking. Returns the number of bytes, 0 at end of file or
    // after a fault, and nothing if no byte has arrived.
    std::optional<std::size_t> receive_some(std::size_t at_most = 1 << 16)
    {
        std::string bytes(at_most, '\0');
        const auto received = receive(socket, bytes, descriptors);
        if (!received)
            return 0;
        if (!*received)
            return {};
        unread_.append(bytes, 0, (*received)->bytes);
        return (*received)->bytes;
    }
    // Removes the first received message and returns it without its zero byte.
    std::optional<std::string> next_frame()
    {
        const auto end = unread_.find('\0');
        if (end == std::string::npos)
            return {};
        auto frame = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        return frame;
    }
    // Removes all received bytes and returns them.
    std::string take_unread() { return std::exchange(unread_, {}); }

    UniqueFd socket;
    std::deque<UniqueFd> descriptors; // Descriptors that were received and not yet taken.

private:
    std::string unread_;
};

} // namespace evfd
