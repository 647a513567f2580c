#include "daemon/process/process_setup.h"

#include "common/null_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace evfd::daemon {

namespace {

// Gives ignored signals their default action, because a process inherits ignored signals through
// execve(2). If SIGCHLD stayed ignored, the kernel would queue no SIGCHLD, and a supervisor would
// not notice that its daemon died.
void reset_ignored_signals()
{
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        struct sigaction action{};
        if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
            ::signal(signal, SIG_DFL);
    }
    // SIGPIPE is ignored, because standard error can be a pipe without a reader.
    ::signal(SIGPIPE, SIG_IGN);
    // SIGXFSZ is ignored, so that a write beyond the limit for file sizes fails with EFBIG.
    // setrlimit(2)
    ::signal(SIGXFSZ, SIG_IGN);
}

// Unblocks all signals except SIGTERM, SIGINT and SIGHUP. A supervisor starts its daemon with these
// signals blocked, and they stay blocked until the daemon has a signalfd for them.
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

// Opens /dev/null for each standard stream that is closed. If a stream stayed closed, the next
// opened file would get the number of that stream. Output for standard error could then be written
// into that file, for example the journal.
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

// Raises the limit for file sizes, because the limit also applies to memfds, such as the journal.
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
