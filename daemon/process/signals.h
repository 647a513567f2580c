// SIGTERM and SIGINT end the daemon, SIGHUP has it read its configuration again: as events of the
// loop. signalfd(2)
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"

#include <functional>
#include <optional>

namespace evfd::daemon {

class Signals {
public:
    using Task = std::function<void()>;

    // Throws std::system_error.
    Signals(EventLoop& loop, Task on_end, Task on_reload);

private:
    void drain();

    Task on_stop_;
    Task on_reload_;
    UniqueFd fd_;
    std::optional<EventLoop::Watch> watch_; // After fd_: it must go first.
};

} // namespace evfd::daemon
