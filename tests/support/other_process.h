// A process that creates connections for a test and lives until the test ends it.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <utility>

namespace evfd {

class OtherProcess {
public:
    OtherProcess(); // Forks the process. Throws std::system_error.
    ~OtherProcess();
    OtherProcess(const OtherProcess&) = delete;
    OtherProcess& operator=(const OtherProcess&) = delete;

    pid_t pid() const { return pid_; }
    const UniqueFd& pidfd() const { return pidfd_; }
    // Makes the process create a socketpair(2), and returns both ends. For each end, the kernel
    // reports the process as the peer.
    std::pair<UniqueFd, UniqueFd> connection() const;
    // Makes the process execute another program. The process then creates no more connections.
    void execute() const;
    // Kills the process. When kill() returns, the process is a zombie.
    void kill();
    // Reaps the process. The kernel can then reuse its pid.
    void reap();

private:
    [[noreturn]] static void run(const UniqueFd& control);

    pid_t pid_ = 0;
    UniqueFd pidfd_;
    UniqueFd control_;
};

} // namespace evfd
