// The usual case of a set, a look and a wait: one system call on the descriptor, no lock, no
// memory. What is more than that, errors above all, is for the long way. By syscall(2), because
// write(2), poll(2) and their like are places where a thread is cancelled. pthreads(7)
#pragma once

#include "client/c/descriptors.h"

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
inline std::uint64_t take(int fd)
{
    std::uint64_t taken = 0;
    const iovec into{&taken, sizeof taken};
    // Does not block even if a holder made the open file blocking. preadv2(2)
    return ::syscall(SYS_preadv2, fd, &into, 1L, -1L, -1L, RWF_NOWAIT) == sizeof taken ? taken : 0;
}

inline bool is_readable(int fd)
{
    pollfd wanted{fd, POLLIN, 0};
#ifdef SYS_poll
    const auto ready = ::syscall(SYS_poll, &wanted, 1L, 0L);
#else // As on younger architectures; it costs a quarter more.
    const timespec at_once{};
    const auto ready = ::syscall(SYS_ppoll, &wanted, 1L, &at_once, nullptr, 0L);
#endif
    return ready == 1 && (wanted.revents & POLLIN) != 0;
}

// What a wait that need not sleep returns; else 0.
inline std::int64_t take_at_once(int fd, Ways ways)
{
    if (ways.takes_nothing)
        return is_readable(fd) ? 1 : 0;
    const auto taken = ways.can_take ? take(fd) : 0;
    return taken > 0 && ways.takes_one ? 1 : static_cast<std::int64_t>(taken);
}

} // namespace evfd::c
