// The usual case of a set, a look and a wait: one system call on the descriptor, no lock, no
// memory. What is more than that, errors above all, is for the long way. By syscall(2), because
// write(2), poll(2) and their like are places where a thread is cancelled. pthreads(7)
#pragma once

#include "client/c/handle_table.h"

#include <poll.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>

namespace evfd::c {

// Whether it was done.
inline bool add_one(int fd)
{
    static constexpr std::uint64_t one = 1;
    return ::syscall(SYS_write, fd, &one, sizeof one) == sizeof one;
}

// What was read; 0 if that was nothing, whatever the reason.
inline std::uint64_t consume(int fd)
{
    std::uint64_t taken = 0;
    const iovec into{&taken, sizeof taken};
    // Does not block even if a holder made the open file blocking. preadv2(2)
    return ::syscall(SYS_preadv2, fd, &into, 1L, -1L, -1L, RWF_NOWAIT) == sizeof taken ? taken : 0;
}

enum class PollResult { nothing, set, foreign }; // Another: it is none of ours any more.

// What another file would show, and ours cannot, costs nothing to ask for.
inline PollResult poll_now(int fd, FastPath fast_path)
{
    const short foreign_events = fast_path.is_epoll ? POLLOUT : POLLRDNORM;
    pollfd wanted{fd, static_cast<short>(POLLIN | foreign_events), 0};
#ifdef SYS_poll
    const auto ready = ::syscall(SYS_poll, &wanted, 1L, 0L);
#else // As on younger architectures; it costs a quarter more.
    const timespec at_once{};
    const auto ready = ::syscall(SYS_ppoll, &wanted, 1L, &at_once, nullptr, 0L);
#endif
    if (ready != 1)
        return PollResult::nothing;
    if ((wanted.revents & (foreign_events | POLLNVAL)) != 0)
        return PollResult::foreign;
    return (wanted.revents & POLLIN) != 0 ? PollResult::set : PollResult::nothing;
}

// Beyond this, what was read was no count of ours: text, for instance, in a file that has the
// number now.
inline constexpr std::uint64_t max_plausible_count = 0xffff'ffff;

// What a wait that need not sleep takes; 0: nothing.
struct ImmediateWait {
    std::uint64_t consumed;
    bool is_doubtful; // It looks like another file's.
};
inline ImmediateWait try_wait_now(int fd, FastPath fast_path)
{
    if (fast_path.consumes_nothing) {
        const auto seen = poll_now(fd, fast_path);
        return {seen == PollResult::set ? 1U : 0U, seen == PollResult::foreign};
    }
    const auto taken = fast_path.can_consume ? consume(fd) : 0;
    return {taken, taken > max_plausible_count};
}

} // namespace evfd::c
