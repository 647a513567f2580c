// The fast path of evfd_set(), evfd_clear(), evfd_is_set() and evfd_wait(): one system call on the
// descriptor, without a lock and without memory allocation.
//
// The handle table keeps a FastPath for every descriptor: the operations that need no more than one
// system call, given the object's mode and the caller's access. A function of evfd.h reads the
// FastPath, tries that system call, and returns if the call was enough. All other cases take the
// slow path through the C++ library: waits that sleep, errors, and descriptors that evfd_open() did
// not return.
//
// Invariants:
//   - If the program closed a descriptor with close(2), the number of the descriptor can belong to
//     another file by now. In that case a write or a read reaches the other file. The fast path
//     checks the result of each read and poll: poll_now() asks for a poll event that only another
//     file reports, and a count above max_plausible_count is doubtful. After a doubtful result the
//     slow path compares the open file with the recorded file, and returns EBADF if the files
//     differ.
//   - The system calls go through syscall(2), because write(2), poll(2) and similar functions are
//     cancellation points. See pthreads(7).
//   - A read uses RWF_NOWAIT, because any process that has the open file can switch O_NONBLOCK off.
#pragma once

#include "client/c/handle_table.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

namespace evfd::c {

// Adds one token to the eventfd. Returns whether the write succeeded.
inline bool add_one(int fd)
{
    static constexpr std::uint64_t one = 1;
    return ::syscall(SYS_write, fd, &one, sizeof one) == sizeof one;
}

// Reads the eventfd once. The read consumes one token of a semaphore, or the whole count of any
// other event. Returns the value that was read, or 0 if the counter was 0 or the read failed.
inline std::uint64_t consume(int fd)
{
    std::uint64_t consumed = 0;
    const iovec into{&consumed, sizeof consumed};
    // RWF_NOWAIT prevents a sleep even if another process has switched O_NONBLOCK off. See
    // preadv2(2).
    return ::syscall(SYS_preadv2, fd, &into, 1L, -1L, -1L, RWF_NOWAIT) == sizeof consumed ? consumed
                                                                                          : 0;
}

// The result of poll_now(). `set`: the object is set. `foreign`: the descriptor's number belongs to
// another file now. `nothing`: the object is not set, or the poll failed.
enum class PollResult { nothing, set, foreign };

// Polls the descriptor without sleeping. Also asks for a poll event that our files never report. If
// this event is reported, the descriptor's number belongs to another file. Asking for the
// additional event costs no time.
inline PollResult poll_now(int fd, FastPath fast_path)
{
    const short foreign_events = fast_path.is_epoll ? POLLOUT : POLLRDNORM;
    pollfd wanted{fd, static_cast<short>(POLLIN | foreign_events), 0};
#ifdef SYS_poll
    const auto ready = ::syscall(SYS_poll, &wanted, 1L, 0L);
#else // Newer architectures lack poll(2). ppoll(2) takes a quarter longer than poll(2).
    const timespec at_once{};
    const auto ready = ::syscall(SYS_ppoll, &wanted, 1L, &at_once, nullptr, 0L);
#endif
    if (ready != 1)
        return PollResult::nothing;
    if ((wanted.revents & (foreign_events | POLLNVAL)) != 0)
        return PollResult::foreign;
    return (wanted.revents & POLLIN) != 0 ? PollResult::set : PollResult::nothing;
}

// The largest value that is accepted as the count of an event. A larger value probably comes from
// another file, for example from text, because the descriptor's number was reused.
inline constexpr std::uint64_t max_plausible_count = 0xffff'ffff;

// The result of a wait that does not sleep. `consumed` is 0 if the wait consumed nothing.
struct ImmediateWait {
    std::uint64_t consumed;
    // Whether `consumed` was possibly read from a file that is not the event, because the
    // descriptor's number was reused.
    bool is_doubtful;
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
