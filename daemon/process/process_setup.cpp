#include "daemon/process/process_setup.h"

#include "common/null_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace evfd::daemon {

namespace {

// Of these execve(2) keeps what was ignored: an ignored SIGCHLD is never queued, and then a guard
// does not hear that its daemon died.
void reset_ignored_signals()
{
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
        struct sigaction action{};
        if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
            ::signal(signal, SIG_DFL);
    }
    ::signal(SIGPIPE, SIG_IGN); // Of a log that nobody reads any more.
    ::signal(SIGXFSZ, SIG_IGN); // The call that wants to write says EFBIG instead. setrlimit(2)
}

// A guard blocks those that end its daemon until the daemon looks for them itself.
Result<void> unblock_signals()
{
    sigset_t blocked;
    if (::sigprocmask(SIG_SETMASK, nullptr, &blocked) < 0)
        return std::unexpected(Fault::last("sigprocmask(2)"));
    sigset_t kept;
    sigemptyset(&kept);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP})
        if (sigismember(&blocked, signal) == 1)
            sigaddset(&kept, signal);
    if (::sigprocmask(SIG_SETMASK, &kept, nullptr) < 0)
        return std::unexpected(Fault::last("sigprocmask(2)"));
    return {};
}

// Else the next file that is opened, such as the journal, has their number, and what is meant for
// standard error is written into it.
Result<void> open_standard_streams()
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0)
            continue;
        auto null = open_null(); // Has the lowest number that is free, which is this one.
        if (!null)
            return std::unexpected(Fault::last("open(/dev/null)"));
        ::fcntl(null.release(), F_SETFD, 0);
    }
    return {};
}

// Memory that is a file counts as well: the journal.
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
