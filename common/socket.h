// Transfers bytes and descriptors over a connected Unix stream socket. Nothing here blocks. unix(7)
#pragma once

#include "common/result.h"
#include "common/unique_fd.h"

#include <sys/types.h>

#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace evfd {

// Identity of the peer, as the kernel recorded it at the peer's connect(2).
struct Peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;                 // 0 if not visible in our pid namespace.
    std::vector<gid_t> groups; // Supplementary groups that are mapped.
    // False: our user namespace has no number for the user, or the group. The number above then
    // stands for every unmapped id. user_namespaces(7)
    bool is_user_mapped = true;
    bool is_group_mapped = true;
};
Result<Peer> peer_of(const UniqueFd& socket);

struct Received {
    std::size_t bytes = 0;     // 0: the peer sends no more.
    bool is_truncated = false; // MSG_CTRUNC: there were descriptors that could not be received.
};

// In the results of these functions an empty optional means that the call would block.
//
// Reads bytes. The kernel closes descriptors that came with them.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into);
// Reads bytes, and appends the descriptors that came with them, in order, close-on-exec.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into,
                                        std::deque<UniqueFd>& descriptors);
// Reads bytes without removing them or their descriptors. is_truncated says that descriptors came
// with them.
Result<std::optional<Received>> peek(const UniqueFd& socket, std::span<char> into);
// Sends bytes and returns how many were sent. The descriptors go with the first byte: all or none,
// at most max_descriptors_per_message. Never raises SIGPIPE. ETOOMANYREFS: too many are in flight.
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes);
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes,
                                        std::span<const int> descriptors);

// Makes the kernel refuse descriptors with EPERM to peers of this socket and of the sockets
// accepted from it. SO_PASSRIGHTS; ENOPROTOOPT: before Linux 6.16.
Result<void> refuse_descriptors(const UniqueFd& socket);
// Returns whether the kernel has refused descriptors for everything that this socket received.
bool refuses_descriptors(const UniqueFd& socket);

// Shuts the input down. Returns whether unread input is left.
bool end_input(const UniqueFd& socket);
// Prepares a socket so that peek() reports all descriptors and nothing else. Data sent with MSG_OOB
// is read in line; otherwise it would be dropped together with its descriptors. Credentials are not
// received.
void prepare_to_peek(const UniqueFd& socket);

// Returns whether the peer has read everything sent to it. SIOCOUTQ
bool is_drained(const UniqueFd& socket);

} // namespace evfd
