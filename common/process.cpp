#include "common/process.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

namespace {

// The value of P_PIDFD, which older headers lack.
constexpr auto id_by_pidfd = static_cast<idtype_t>(3);

// Returns the start time of the process on the boottime clock, rounded down to the kernel's ticks.
// The start time is the 22nd field of /proc/PID/stat. The second field is a name in parentheses,
// which can contain any character. proc_pid_stat(5)
std::optional<nanoseconds> start_time(pid_t pid)
{
    constexpr int fields_from_name = 20;
    std::ifstream file{fmt::format("/proc/{}/stat", pid)};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    auto at = text.rfind(')');
    for (int i = 0; i < fields_from_name && at != text.npos; ++i)
        at = text.find(' ', at + 1);
    if (at == text.npos)
        return {};
    std::int64_t ticks = 0;
    const char* begin = text.data() + at + 1;
    if (std::from_chars(begin, text.data() + text.size(), ticks).ec != std::errc{})
        return {};
    return ticks * (nanoseconds{std::chrono::seconds{1}} / ::sysconf(_SC_CLK_TCK));
}

// Returns whether the error means that the process has exited. Some kernels report ESRCH, others
// EINVAL.
bool means_exited(int error)
{
    return error == ESRCH || error == EINVAL;
}

} // namespace

bool has_exited(const UniqueFd& pidfd)
{
    pollfd polled{pidfd.get(), POLLIN, 0};
    return ::poll(&polled, 1, 0) > 0;
}

bool is_pidfd(const UniqueFd& fd)
{
    siginfo_t info{};
    return ::waitid(id_by_pidfd, static_cast<id_t>(fd.get()), &info,
                    WEXITED | WNOHANG | WNOWAIT) == 0 ||
           errno == ECHILD; // ECHILD: a pidfd of a process that is not our child.
}

Result<UniqueFd> open_peer_pidfd(const UniqueFd& socket, pid_t pid, nanoseconds accepted)
{
    constexpr int so_peerpidfd = 77; // The value of SO_PEERPIDFD, which older headers lack.
    int number = -1;
    socklen_t size = sizeof number;
    if (::getsockopt(socket.get(), SOL_SOCKET, so_peerpidfd, &number, &size) < 0) {
        if (errno == ENOPROTOOPT)
            return open_pidfd(pid, accepted);
        return std::unexpected(
            Fault{"getsockopt(SO_PEERPIDFD)", means_exited(errno) ? ESRCH : errno});
    }
    UniqueFd pidfd{number};
    if (has_exited(pidfd))
        return std::unexpected(Fault{"getsockopt(SO_PEERPIDFD)", ESRCH});
    return pidfd;
}

Result<UniqueFd> open_pidfd(pid_t pid, nanoseconds instant)
{
    UniqueFd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!pidfd)
        return std::unexpected(Fault{"pidfd_open(2)", means_exited(errno) ? ESRCH : errno});
    // start_time() finds a process by its number, which another process can get after the process
    // of the pidfd has exited. Therefore has_exited() is tested after the start time is read.
    const auto start = start_time(pid);
    if (has_exited(pidfd) || (start && *start > instant))
        return std::unexpected(Fault{"pidfd_open(2)", ESRCH});
    if (!start)
        return std::unexpected(Fault{"open(/proc/PID/stat)", EACCES});
    return pidfd;
}

} // namespace evfd
