// The open file behind a descriptor, to detect that its number was reused. fstat(2) distinguishes
// our descriptors, which are anonymous inodes, from files, sockets and pipes. /proc distinguishes
// eventfds from each other, and timerfds and epolls only from other kinds.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace evfd::c {

struct Inode {
    dev_t device;
    ino_t number;
    friend bool operator==(const Inode&, const Inode&) = default;
};
std::optional<Inode> inode_of(int fd); // Nothing if the descriptor is not open. One system call.

// Every part may be missing: /proc may not be mounted, or the process may have no free descriptor
// to read it.
struct FdIdentity {
    std::optional<Inode> inode;
    std::optional<std::string> link;
    std::optional<std::string> eventfd_id; // Empty if it is not an eventfd.
};
FdIdentity identity_of(int fd);

// Returns whether the two are known to be different files.
bool are_different(const FdIdentity& one, const FdIdentity& other);

} // namespace evfd::c
