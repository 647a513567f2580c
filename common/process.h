// A process as the kernel knows it, by a pidfd: another one that gets its number later is not
// meant. pidfd_open(2)
#pragma once

#include "common/clock.h"
#include "common/result.h"
#include "common/unique_fd.h"

#include <sys/types.h>

namespace evfd {

// Whether it has ended, reaped or not. execve(2) does not end it.
bool has_exited(const UniqueFd& pidfd);
bool is_pidfd(const UniqueFd& fd);

// The process that made the connection whose other end `socket` is, and that is `pid` there.
// `accepted`: when the connection was accepted, on the boottime clock; asked only of kernels before
// 6.5. ESRCH: it has ended.
Result<UniqueFd> open_peer_pidfd(const UniqueFd& socket, pid_t pid, nanoseconds accepted);
// The process of this number, if it was there by that moment on the boottime clock. ESRCH: there is
// none, or it began later, so that it has the number of one that has ended.
Result<UniqueFd> open_pidfd(pid_t pid, nanoseconds moment);

} // namespace evfd
