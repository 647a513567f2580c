// Another process, which does nothing but make connections and be there until it is ended.
#pragma once

#include "common/unique_fd.h"

#include <sys/types.h>

#include <utility>

namespace evfd {

class OtherProcess {
public:
    OtherProcess(); // Throws std::system_error.
    ~OtherProcess();
    OtherProcess(const OtherProcess&) = delete;
    OtherProcess& operator=(const OtherProcess&) = delete;

    pid_t pid() const { return pid_; }
    const UniqueFd& pidfd() const { return pidfd_; }
    // Both ends of a socketpair(2) that it made, so that it is whom the kernel names as the peer.
    std::pair<UniqueFd, UniqueFd> connection() const;
    // It is another program afterwards, of which nobody can ask a connection.
    void execute() const;
    void kill(); // By then it has ended, and nobody has reaped it.
    void reap(); // Its pid may be another's from now on.

private:
    [[noreturn]] static void run(const UniqueFd& control);

    pid_t pid_ = 0;
    UniqueFd pidfd_;
    UniqueFd control_;
};

} // namespace evfd
