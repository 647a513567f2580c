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

// One end of a connection. The test clients and the scripted daemon build on this class. The class
// has no function that waits for a message, because its users wait, and report a missing message,
// in different ways.
class FrameSocket {
public:
    explicit FrameSocket(UniqueFd connected) : socket{std::move(connected)} {}

    // Calls recvmsg(2) once, without blocking. Returns the number of received bytes. Returns 0 at
    // end of file or on an error, and nothing if no byte was available.
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
    // Removes the oldest complete message and returns it without its terminating zero byte. Returns
    // nothing if no message is complete.
    std::optional<std::string> next_frame()
    {
        const auto end = unread_.find('\0');
        if (end == std::string::npos)
            return {};
        auto frame = unread_.substr(0, end);
        unread_.erase(0, end + 1);
        return frame;
    }
    // Returns all bytes that were received and that no earlier call returned.
    std::string take_unread() { return std::exchange(unread_, {}); }

    UniqueFd socket;
    // The descriptors that were received and that the test has not removed yet.
    std::deque<UniqueFd> descriptors;

private:
    std::string unread_;
};

} // namespace evfd
