// The fast path of evfd_set(), evfd_clear(), evfd_is_set() and evfd_wait(): one system call on the
// descriptor, without a lock and without memory allocation.
//
// The handle table keeps a FastPath for every descriptor: the operations that need no more than one
// system call, given the object's mode and the caller's access. A function of evfd.h reads it,
// tries that system call, and returns if it was enough. Everything else takes the slow path through
// the C++ library: sleeping, errors, and descriptors that evfd_open() did not return.
//
// What must hold:
//   - The descriptor's number may belong to another file by now, if the program closed it with
//     close(2). A write or a read then reaches that file, as any use of a closed descriptor does,
//     but what a read or a poll returns is checked: poll_now() asks for an event that only another
//     file has, and a count above max_plausible_count is suspect. The slow path then compares the
//     open file with the recorded one, and returns EBADF.
//   - The system calls go through syscall(2), because write(2), poll(2) and similar functions are
//     cancellation points. pthreads(7)
//   - A read uses RWF_NOWAIT: a holder of the open file may have switched O_NONBLOCK off.
#pragma once

#include "client/c/handle_table.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

namespace evfd::c {

// Returns whether one token was added.
inline bool add_one(int fd)
{
    static constexpr std::uint64_t one = 1;
    return ::syscall(SYS_write, fd, &one, sizeof one) == sizeof one;
}

// Returns the value read, or 0 if nothing was read for any reason.
inline std::uint64_t consume(int fd)
{
    std::uint64_t consumed = 0;
    const iovec into{&consumed, sizeof consumed};
    // Does not block even if a holder made the open file blocking. preadv2(2)
    return ::syscall(SYS_preadv2, fd, &into, 1L, -1L, -1L, RWF_NOWAIT) == sizeof consumed ? consumed
                                                                                          : 0;
}

enum class PollResult { nothing, set, foreign }; // foreign: the number belongs to another file now.

// Also asks for an event that our files never have and other files do. That costs nothing.
inline PollResult poll_now(int fd, FastPath fast_path)
{
    const short foreign_events = fast_path.is_epoll ? POLLOUT : POLLRDNORM;
    pollfd wanted{fd, static_cast<short>(POLLIN | foreign_events), 0};
#ifdef SYS_poll
    const auto ready = ::syscall(SYS_poll, &wanted, 1L, 0L);
#else // Newer architectures lack poll(2); ppoll(2) takes a quarter longer.
    const timespec at_once{};
    const auto ready = ::syscall(SYS_ppoll, &wanted, 1L, &at_once, nullptr, 0L);
#endif
    if (ready != 1)
        return PollResult::nothing;
    if ((wanted.revents & (foreign_events | POLLNVAL)) != 0)
        return PollResult::foreign;
    return (wanted.revents & POLLIN) != 0 ? PollResult::set : PollResult::nothing;
}

// A larger value was not a count of an event, but for example text in another file with the same
// number.
inline constexpr std::uint64_t max_plausible_count = 0xffff'ffff;

// The amount that a wait consumed without sleeping; 0: nothing.
struct ImmediateWait {
    std::uint64_t consumed;
    bool is_doubtful; // The value may come from another file.
};
inline ImmediateWait try_wait_now(int fd, FastPath fast_path)
{
    if (fast_path.consumes_nothing) {
        const auto seen = poll_now(fd, fast_path);
        return {seen == PollResult::set ? 1U : 0U, seen == PollResult::foreign};
    }
    const auto consumed = fast_path.can_consume ? consume(fd) : 0;
    return {consumed, consumed > max_plausible_count};
}

} // namespace evfd::c
