// Sends the daemon's notifications, in the format of sd_notify(3). A daemon with a supervisor sends
// them to the supervisor, over a socketpair that no other process has. Any other daemon sends them
// to systemd.
#pragma once

#include "common/enums.h"
#include "common/unique_fd.h"

#include <chrono>
#include <string>

namespace evfd::daemon {

class Notifier {
public:
    // `supervisor` is the daemon's end of the socketpair to its supervisor. It is invalid without a
    // supervisor.
    explicit Notifier(UniqueFd supervisor) : supervisor_{std::move(supervisor)} {}

    // Returns which fd store receives the notifications, or FdStore::none if no process stores
    // descriptors.
    FdStore fd_store() const;
    // Returns the daemon's end of the socketpair, for which epoll reports EPOLLHUP once the
    // supervisor has ended. The descriptor is invalid without a supervisor.
    const UniqueFd& supervisor() const { return supervisor_; }

    // Sends `state`, together with `fd` unless `fd` is negative. Returns whether the notification
    // was sent. Never waits.
    bool notify(const std::string& state, int fd = -1) const;
    // Waits until the receiver has read every earlier notification. Returns false after `timeout`.
    bool await_read(std::chrono::milliseconds timeout) const;

private:
    UniqueFd supervisor_;
};

} // namespace evfd::daemon
