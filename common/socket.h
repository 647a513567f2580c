// Transfers bytes and descriptors over a connected Unix stream socket. No function here blocks.
// unix(7)
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

// The identity of the peer, as the kernel recorded it at the peer's connect(2).
struct Peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;                 // The process; 0 if it is not visible in our pid namespace.
    std::vector<gid_t> groups; // The supplementary groups that our user namespace maps.
    // False if our user namespace does not map the user. In this case, `uid` stands for every
    // unmapped user. user_namespaces(7)
    bool is_user_mapped = true;
    // False if our user namespace does not map the group. In this case, `gid` stands for every
    // unmapped group.
    bool is_group_mapped = true;
};
Result<Peer> peer_of(const UniqueFd& socket);

struct Received {
    std::size_t bytes = 0; // The number of bytes; 0 if the peer will send no more.
    // True if the message had descriptors that could not be received (MSG_CTRUNC).
    bool is_truncated = false;
};

// If a function below would have to wait, it returns an empty optional instead.
//
// Reads bytes. The kernel closes descriptors that came with the bytes.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into);
// Reads bytes, and appends the descriptors that came with the bytes to `descriptors`, in order and
// close-on-exec.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into,
                                        std::deque<UniqueFd>& descriptors);
// Reads bytes without removing the bytes or their descriptors from the socket. Sets is_truncated if
// descriptors came with the bytes.
Result<std::optional<Received>> peek(const UniqueFd& socket, std::span<char> into);
// Sends bytes and returns how many bytes were sent. The second overload also sends descriptors, at
// most max_descriptors_per_message. All descriptors go with the first byte, so either all or none
// are sent. Never raises SIGPIPE. Fails with ETOOMANYREFS if too many descriptors are in flight.
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes);
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes,
                                        std::span<const int> descriptors);

// The options SO_PASSPIDFD (Linux 6.5) and SO_PASSRIGHTS (Linux 6.16), which older headers lack.
#ifdef SO_PASSPIDFD
inline constexpr int so_passpidfd = SO_PASSPIDFD;
#else
inline constexpr int so_passpidfd = 76;
#endif
#ifdef SO_PASSRIGHTS
inline constexpr int so_passrights = SO_PASSRIGHTS;
#else
inline constexpr int so_passrights = 83;
#endif

// Switches SO_PASSRIGHTS off. After that, the peers of this socket, and of the sockets that are
// accepted from it, cannot send descriptors: their sendmsg(2) fails with EPERM. Fails with
// ENOPROTOOPT before Linux 6.16.
Result<void> refuse_descriptors(const UniqueFd& socket);
// Returns whether SO_PASSRIGHTS is off, so that peers cannot send descriptors to this socket.
bool refuses_descriptors(const UniqueFd& socket);

// Shuts the socket down for input. Returns whether received bytes are left unread.
bool end_input(const UniqueFd& socket);
// Prepares a socket for peek(), so that peek() sets is_truncated exactly if descriptors came with
// the bytes.
//
// - Data that the peer sends with MSG_OOB becomes part of the stream. If the data stayed out of
//   band, a read would skip it, and the kernel would drop the data with its descriptors.
// - The socket receives no credentials, no pidfd of the sender and no security label, because each
//   of these would also set is_truncated.
void prepare_to_peek(const UniqueFd& socket);

// Returns whether the peer has read everything that was sent to it. Asks the kernel by SIOCOUTQ.
bool is_drained(const UniqueFd& socket);

} // namespace evfd
