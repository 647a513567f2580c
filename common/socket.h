// Bytes and descriptors over a connected Unix stream socket. Nothing here ever blocks. unix(7)
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

// Who is at the other end, as the kernel says: whoever called connect(2), at that moment.
struct Peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;                 // 0 where it cannot be seen from our namespace.
    std::vector<gid_t> groups; // Supplementary, those that are mapped.
    // Else our user namespace has no number for the user, or the group, and the one above stands
    // for all that it does not map. user_namespaces(7)
    bool is_user_mapped = true;
    bool is_group_mapped = true;
};
Result<Peer> peer_of(const UniqueFd& socket);

struct Received {
    std::size_t bytes = 0;     // 0: the peer will send no more.
    bool is_truncated = false; // Descriptors came along that there is no room for.
};

// An empty optional means "not now": nothing to read, or no room to write.
// Descriptors that came along are dropped: the kernel closes what there is no room for.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into);
// The same; descriptors that came along are appended, in order, close-on-exec.
Result<std::optional<Received>> receive(const UniqueFd& socket, std::span<char> into,
                                        std::deque<UniqueFd>& descriptors);
// The same; what came stays where it is, and so do the descriptors: is_truncated says that there
// are any.
Result<std::optional<Received>> peek(const UniqueFd& socket, std::span<char> into);
// How many bytes went out. The descriptors ride with the first of them: all or none, at most
// max_descriptors_per_message. Never raises SIGPIPE. ETOOMANYREFS: too many are in flight.
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes);
Result<std::optional<std::size_t>> send(const UniqueFd& socket, std::string_view bytes,
                                        std::span<const int> descriptors);

// From now on the kernel tells EPERM to a peer that sends descriptors to this socket, or to one
// that is accepted from it. SO_PASSRIGHTS; ENOPROTOOPT: before Linux 6.16.
Result<void> refuse_descriptors(const UniqueFd& socket);
// Whether the kernel has done so for all that came to this socket.
bool refuses_descriptors(const UniqueFd& socket);

// No more input comes from now on. Whether there is some that is unread.
bool end_input(const UniqueFd& socket);
// So that peek() tells of all descriptors, and of nothing else: what is sent with MSG_OOB is read
// in its place, or it would be dropped with its descriptors; no credentials come along.
void prepare_to_peek(const UniqueFd& socket);

// Whether all that was sent has been read. SIOCOUTQ
bool is_drained(const UniqueFd& socket);

} // namespace evfd
