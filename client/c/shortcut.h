// The usual case of a set, a look and a wait: one system call on the descriptor, no lock, no
// memory. What is more than that, errors above all, is for the long way.
#pragma once

#include "client/c/descriptors.h"

#include <poll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>

namespace evfd::c {

// Whether it was done.
inline bool add_one(int fd)
{
    static constexpr std::uint64_t one = 1;
    return ::write(fd, &one, sizeof one) == sizeof one;
}

// What was read; 0 if that was nothing, whatever the reason.
inline std::uint64_t take(int fd)
{
    std::uint64_t taken = 0;
    const iovec into{&taken, sizeof taken};
    // Does not block even if a holder made the open file blocking. preadv2(2)
    return ::preadv2(fd, &into, 1, -1, RWF_NOWAIT) == sizeof taken ? taken : 0;
}

inline bool is_readable(int fd)
{
    pollfd wanted{fd, POLLIN, 0};
    return ::poll(&wanted, 1, 0) == 1 && (wanted.revents & POLLIN) != 0;
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
