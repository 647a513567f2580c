// Processes identified by a pidfd, which never refers to a later process with the same number.
// pidfd_open(2)
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <sys/types.h>

namespace evfd {

// Returns whether the process has exited. A zombie has exited. execve(2) does not end a process.
bool has_exited(const UniqueFd& pidfd);
bool is_pidfd(const UniqueFd& fd);

// Returns a pidfd of the peer of `socket`: the process with number `pid` that created the
// connection. `accepted` is the time when the connection was accepted, on the boottime clock; it is
// used on kernels before 6.5 only. Fails with ESRCH if the process has exited.
Result<UniqueFd> open_peer_pidfd(const UniqueFd& socket, pid_t pid, nanoseconds accepted);
// Returns a pidfd of the process that had the number `pid` at `instant` on the boottime clock.
// Fails with ESRCH if that process has exited, even if a process that started later has its number
// now.
Result<UniqueFd> open_pidfd(pid_t pid, nanoseconds instant);

} // namespace evfd
