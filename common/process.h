// Processes identified by a pidfd, which never refers to a later process with the same number.
// pidfd_open(2)
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <sys/types.h>

namespace evfd {

// Returns whether the process has exited, reaped or not. execve(2) does not end a process.
bool has_exited(const UniqueFd& pidfd);
bool is_pidfd(const UniqueFd& fd);

// Opens the process that created the connection at whose other end `socket` is, and whose number is
// `pid`. `accepted`: when the connection was accepted, on the boottime clock; used on kernels
// before 6.5 only. ESRCH: the process has exited.
Result<UniqueFd> open_peer_pidfd(const UniqueFd& socket, pid_t pid, nanoseconds accepted);
// Opens the process with number `pid`, if it existed at `instant` on the boottime clock. ESRCH: no
// such process exists, or it started later and so has the number of one that has exited.
Result<UniqueFd> open_pidfd(pid_t pid, nanoseconds instant);

} // namespace evfd
