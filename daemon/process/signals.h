// Turns signals into events of the loop: SIGTERM and SIGINT stop the daemon, SIGHUP reloads its
// configuration. signalfd(2)
#pragma once

#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"

#include <functional>
#include <initializer_list>
#include <optional>

namespace evfd::daemon {

// Blocks the signals and returns a signalfd for them. Throws std::system_error.
UniqueFd make_signalfd(std::initializer_list<int> signals);

class Signals {
public:
    using Task = std::function<void()>;

    // Blocks the signals and watches a signalfd for them. Throws std::system_error.
    Signals(EventLoop& loop, Task on_stop, Task on_reload);

private:
    void drain();

    Task on_stop_;
    Task on_reload_;
    UniqueFd fd_;
    // Declared after fd_, so that the watch is destroyed first.
    std::optional<EventLoop::Watch> watch_;
};

} // namespace evfd::daemon
