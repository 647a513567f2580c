#include "daemon/process/notifier.h"

#include "common/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <span>

namespace evfd::daemon {

FdStore Notifier::fd_store() const
{
    if (supervisor_)
        return FdStore::supervisor;
    // systemd sets both INVOCATION_ID and NOTIFY_SOCKET only for a service that is allowed to send
    // notifications. systemd.exec(5)
    const bool is_service = std::getenv("NOTIFY_SOCKET") && std::getenv("INVOCATION_ID");
    return is_service ? FdStore::systemd : FdStore::none;
}

bool Notifier::notify(const std::string& state, int fd) const
{
    const std::array fds{fd};
    const std::span passed{fds.data(), fd < 0 ? 0U : 1U};
    if (supervisor_)
        return send(supervisor_, state, passed).value_or(std::nullopt).has_value();
    return ::sd_pid_notify_with_fds(0, 0, state.c_str(), passed.data(),
                                    static_cast<unsigned>(passed.size())) >= 0;
}

// Works like sd_notify_barrier(3): the function sends one end of a pipe. The receiver closes that
// end when it reads the message, and poll(2) reports this at the other end.
bool Notifier::await_read(std::chrono::milliseconds timeout) const
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0)
        return false;
    const UniqueFd ours{ends[0]};
    UniqueFd theirs{ends[1]};
    if (!notify("BARRIER=1", theirs.get()))
        return false;
    theirs = {};
    pollfd end{ours.get(), 0, 0};
    return ::poll(&end, 1, static_cast<int>(timeout.count())) == 1;
}

} // namespace evfd::daemon
