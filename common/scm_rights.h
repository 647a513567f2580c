// Messages with descriptors over a Unix socket: SCM_RIGHTS. No function here blocks. unix(7)
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <span>
#include <vector>

namespace evfd::scm_rights {

struct Message {
    std::size_t bytes = 0;
    // The descriptors, in the order of the sender. All are close-on-exec.
    std::vector<UniqueFd> fds;
    // True if the message had descriptors that could not be received (MSG_CTRUNC).
    bool is_truncated = false;
};

// Receives the bytes of one recvmsg(2) and the descriptors that came with the bytes. With MSG_PEEK,
// receive() returns duplicates of the descriptors, and the message stays in flight. Fails with
// EAGAIN if the socket has no message.
Result<Message> receive(const UniqueFd& socket, std::span<char> into, int flags = 0);
// Sends the bytes of `data`, and all descriptors together with the first byte. `fds` must have at
// least one descriptor and at most max_descriptors_per_message. Returns how many bytes were sent.
// Never raises SIGPIPE. Fails with EAGAIN if the socket has no room, and with ETOOMANYREFS if too
// many descriptors are in flight.
Result<std::size_t> send(const UniqueFd& socket, std::span<iovec> data, std::span<const int> fds);

} // namespace evfd::scm_rights
