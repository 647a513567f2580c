#include "daemon/process/daemonizer.h"

#include "common/null_file.h"
#include "daemon/base/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace evfd::daemon {

Daemonizer::Daemonizer()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        throw std::system_error{errno, std::generic_category(), "pipe2(2)"};
    UniqueFd ready{ends[0]};
    ready_ = UniqueFd{ends[1]};
    const auto child = ::fork();
    if (child < 0)
        throw std::system_error{errno, std::generic_category(), "fork(2)"};
    if (child > 0) {
        ready_ = {};
        char code = EXIT_FAILURE;
        (void)TEMP_FAILURE_RETRY(::read(ready.get(), &code, 1));
        ::_exit(code);
    }
    ::setsid();
}

void Daemonizer::report_status(int code)
{
    const auto byte = static_cast<char>(code);
    if (::write(ready_.get(), &byte, 1) < 0)
        log::debug({}, "the parent process has exited already");
    ready_ = {};
}

void Daemonizer::detach_from_terminal()
{
    const auto null = open_null();
    if (!null)
        return;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(null.get(), fd);
    // A file system cannot be unmounted while the working directory of a process is in it.
    if (::chdir("/") < 0)
        log::debug({}, "cannot leave the working directory");
}

} // namespace evfd::daemon
