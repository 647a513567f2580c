// Identifies the open file behind a descriptor, to detect that the descriptor's number was reused.
// fstat(2) distinguishes our descriptors, which are anonymous inodes, from files, sockets and
// pipes. /proc also distinguishes each eventfd from every other eventfd. /proc distinguishes a
// timerfd or an epoll instance only from files of other kinds.
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
// Returns the inode of the descriptor's file, or nothing if the descriptor is not open. Makes one
// system call.
std::optional<Inode> inode_of(int fd);

// The properties that identify an open file. A member is empty if it could not be read, for example
// if /proc is not mounted, or if the process has no free descriptor to read from /proc.
struct FdIdentity {
    std::optional<Inode> inode;
    std::optional<std::string> link;
    // The line "eventfd-id:" in /proc/self/fdinfo. The text is empty if the file is not an eventfd.
    std::optional<std::string> eventfd_id;
};
FdIdentity identity_of(int fd);

// Returns whether the two identities certainly belong to different files.
bool are_different(const FdIdentity& one, const FdIdentity& other);

} // namespace evfd::c
