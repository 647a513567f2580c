// Going to the background: the parent waits in a pipe for the child's first word, which is that
// clients can connect, or the end of it.
#pragma once

#include "common/unique_fd.h"

namespace evfd::daemon {

class Daemonizer {
public:
    // Returns in the child only; the parent ends with the code that it is told. Throws
    // std::system_error.
    Daemonizer();

    void report_status(int code);
    // Keeps no terminal and no file system busy from now on.
    static void detach_from_terminal();

private:
    UniqueFd ready_;
};

} // namespace evfd::daemon
