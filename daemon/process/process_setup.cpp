#include "daemon/process/process_setup.h"

#include "common/null_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace evfd::daemon {

namespace {

// execve(2) preserves ignored signals. With SIGCHLD ignored, no SIGCHLD is queued, and a supervisor
// would not notice that its daemon died.
void reset_ignored_signals()
{
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        struct sigaction action{};
        if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
            ::signal(signal, SIG_DFL);
    }
    ::signal(SIGPIPE, SIG_IGN); // Standard error may be a pipe without a reader.
    ::signal(SIGXFSZ, SIG_IGN); // The writing call fails with EFBIG instead. setrlimit(2)
}

// A supervisor blocks the signals that end its daemon until the daemon has a signalfd for them.
Result<void> unblock_signals()
{
    sigset_t blocked;
    if (::sigprocmask(SIG_SETMASK, nullptr, &blocked) < 0)
        return std::unexpected(Fault::last("sigprocmask(2)"));
    sigset_t still_blocked;
    sigemptyset(&still_blocked);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        if (sigismember(&blocked, signal) == 1)
            sigaddset(&still_blocked, signal);
    if (::sigprocmask(SIG_SETMASK, &still_blocked, nullptr) < 0)
        return std::unexpected(Fault::last("sigprocmask(2)"));
    return {};
}

// Otherwise the next open file, such as the journal, gets the number of a standard stream, and
// output for standard error is written into it.
Result<void> open_standard_streams()
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0)
            continue;
        auto null = open_null(); // open(2) returns the lowest free number, which is `fd`.
        if (!null)
            return std::unexpected(Fault::last("open(/dev/null)"));
        ::fcntl(null.release(), F_SETFD, 0);
    }
    return {};
}

// The limit also counts for memfds, such as the journal.
Result<void> raise_file_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_FSIZE, &limit) < 0)
        return std::unexpected(Fault::last("getrlimit(2)"));
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return std::unexpected(Fault::last("setrlimit(2)"));
    return {};
}

} // namespace

Result<void> set_up_process()
{
    reset_ignored_signals();
    ::umask(0077);
    if (const auto open = open_standard_streams(); !open)
        return open;
    if (const auto unblocked = unblock_signals(); !unblocked)
        return unblocked;
    return raise_file_limit();
}

} // namespace evfd::daemon
