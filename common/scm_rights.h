// Messages with descriptors over a Unix socket: SCM_RIGHTS. Nothing here blocks. unix(7)
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
    std::vector<UniqueFd> fds; // In the order of the sender, close-on-exec.
    bool is_truncated = false; // MSG_CTRUNC: there were descriptors that could not be received.
};

// Receives the bytes of one recvmsg(2) and the descriptors that came with them. With MSG_PEEK it
// receives duplicates, and the message stays in flight. EAGAIN: there is none.
Result<Message> receive(const UniqueFd& socket, std::span<char> into, int flags = 0);
// Sends the bytes of `data`, and with the first byte all of the descriptors: at least one, at most
// max_descriptors_per_message. Returns how many bytes were sent. Never raises SIGPIPE. EAGAIN:
// there is no room. ETOOMANYREFS: too many descriptors are in flight.
Result<std::size_t> send(const UniqueFd& socket, std::span<iovec> data, std::span<const int> fds);

} // namespace evfd::scm_rights
