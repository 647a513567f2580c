// Sends the daemon's notifications, in the format of sd_notify(3): to its supervisor, over a
// socketpair that no other process has, else to systemd.
#pragma once

#include "common/enums.h"
#include "common/unique_fd.h"

#include <chrono>
#include <string>

namespace evfd::daemon {

class Notifier {
public:
    // `supervisor`: our end of the socketpair; invalid without a supervisor.
    explicit Notifier(UniqueFd supervisor) : supervisor_{std::move(supervisor)} {}

    // Returns the fd store at the other end; none if nobody stores descriptors.
    FdStore fd_store() const;
    // Reports EPOLLHUP once the supervisor has ended. Invalid without a supervisor.
    const UniqueFd& supervisor() const { return supervisor_; }

    // Sends `state`, with `fd` if it is not negative. Returns whether it was sent. Never waits.
    bool notify(const std::string& state, int fd = -1) const;
    // Waits until the other end has read every earlier notification. Returns false after `timeout`.
    bool await_read(std::chrono::milliseconds timeout) const;

private:
    UniqueFd supervisor_;
};

} // namespace evfd::daemon
