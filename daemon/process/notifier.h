// What the daemon says to the process that keeps its state: in the words of sd_notify(3), to its
// guard over a socketpair that no other process has, else to systemd.
#pragma once

#include "common/enums.h"
#include "common/unique_fd.h"

#include <chrono>
#include <string>

namespace evfd::daemon {

class Notifier {
public:
    // `guard`: the end of the socketpair, if we have a guard.
    explicit Notifier(UniqueFd supervisor) : supervisor_{std::move(supervisor)} {}

    // The process that listens; none if nobody keeps what it is given.
    FdStore fd_store() const;
    // At its end (EPOLLHUP) once the guard has ended; invalid without a guard.
    const UniqueFd& supervisor() const { return supervisor_; }

    // Whether it went out; with a descriptor, if one is given. Nothing waits.
    bool notify(const std::string& state, int fd = -1) const;
    // Waits until all that was told before has been read. False if it was not within `patience`.
    bool await_read(std::chrono::milliseconds timeout) const;

private:
    UniqueFd supervisor_;
};

} // namespace evfd::daemon
