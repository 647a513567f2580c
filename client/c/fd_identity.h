// Which open file a descriptor is, for it has a number that may be another's by now. fstat(2) tells
// ours, which are no files, from files, sockets and pipes; /proc tells more: eventfds are told
// apart, of timerfds and epolls only that they are some.
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
std::optional<Inode> inode_of(int fd); // None, if it is not open. A single system call.

// Each as far as it is known: there may be no /proc, or no descriptor left to read in it.
struct FdIdentity {
    std::optional<Inode> inode;
    std::optional<std::string> link;
    std::optional<std::string> eventfd_id; // Empty, if it is no eventfd.
};
FdIdentity identity_of(int fd);

// Whether it is seen that they are two.
bool are_different(const FdIdentity& one, const FdIdentity& other);

} // namespace evfd::c
