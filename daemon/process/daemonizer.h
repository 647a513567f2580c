// Moves the program to the background. The parent process waits on a pipe until the child process
// reports that clients can connect, or until the child ends.
#pragma once

#include "common/unique_fd.h"

namespace evfd::daemon {

class Daemonizer {
public:
    // Forks. Returns in the child only; the parent exits with the status that the child reports.
    // Throws std::system_error.
    Daemonizer();

    void report_status(int code);
    // Releases the terminal and the working directory, so that the daemon keeps neither of them
    // busy.
    static void detach_from_terminal();

private:
    UniqueFd ready_;
};

} // namespace evfd::daemon
