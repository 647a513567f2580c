// All of a running evfdd: what it was handed and told, from its first answer to its end.
#pragma once

#include "daemon/base/event_loop.h"
#include "daemon/config/config.h"
#include "daemon/ipc/server.h"
#include "daemon/options.h"
#include "daemon/process/fd_store.h"
#include "daemon/process/listening_socket.h"
#include "daemon/process/notifier.h"
#include "daemon/process/signals.h"
#include "daemon/service/service.h"
#include "daemon/store/state_store.h"

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

// What the options name, or what is at its usual place.
std::expected<Config, ConfigError> configuration_from(const Options& options);

// What the kernel has, but for what the options leave out.
KernelFeatures usable_kernel_features(const Options& options);

class Daemon {
public:
    // Takes over what an earlier daemon left. Without a configuration other users than
    // root and its own may use only their names below user/UID. Throws AlreadyRunning or
    // std::exception.
    Daemon(const Options& options, const std::expected<Config, ConfigError>& config,
           InheritedFds handed);

    // Clients can connect. Returns when it is to end.
    void run();
    // At the end. To end is to be killed: nothing is taken apart, so that the next one finds all as
    // it is. What clients sent is closed by the kernel, which does not linger for us then: Closer.
    [[noreturn]] void exit_without_teardown();

private:
    // Says from within the loop, twice in the time that systemd gives us, that it turns.
    class Watchdog {
    public:
        Watchdog(EventLoop& loop, const Notifier& notifier) : loop_{loop}, notifier_{notifier} {}
        void begin();

    private:
        void ping();
        EventLoop& loop_;
        const Notifier& notifier_;
        nanoseconds interval_{0};
        std::optional<EventLoop::Timeout> timeout_;
    };

    void watch_supervisor();
    void on_supervisor_exit();
    void notify_ready() const;
    void begin(const Config& config);
    void declare(const Config& config);
    void request_stop();
    void reload();
    void apply(const Config& config);
    void warn_if_socket_mode_is_wider(mode_t mode) const;

    Options options_;
    KernelFeatures kernel_;
    EventLoop loop_;
    Signals signals_;
    MonotonicTime started_ = monotonic_now();
    DescriptorBudget descriptor_budget_;
    InheritedFds inherited_;
    Notifier notifier_;
    std::optional<EventLoop::Watch> supervisor_watch_; // After notifier_: it must go first.
    RecoveredState recovered_;
    StateStore state_store_;
    FdStore fd_store_;
    Service service_;
    std::optional<ListeningSocket> socket_;
    std::vector<std::string> inherited_paths_; // Of sockets that are not ours to change.
    Server server_;
    Watchdog watchdog_;
    std::string config_fault_; // Why it could not be read last time; empty if it could.
    bool stop_requested_ = false;
};

} // namespace evfd::daemon
