// Daemon: all parts of a running evfdd, from its start to its exit.
//
// main() makes one Daemon, calls run(), and then exit_without_teardown(). The constructor does
// everything that can fail:
//
// 1. It raises the descriptor limit, and takes the inherited descriptors.
// 2. It opens the state store, or creates one, and gives its descriptors to the fd store.
// 3. It recovers objects, sessions and subscriptions from the state store (Service::restore()).
// 4. It listens on its sockets, creates the objects that the configuration declares, and admits
//    inherited clients.
//
// Each member is declared after the members that it depends on, so it is destroyed before them.
// Server is destroyed before Service, Service before StateStore, and all of them before the
// EventLoop.
//
// run() reports readiness to the supervisor or systemd, and runs the loop. Signals stop the loop or
// reload the configuration. At a reload, an invalid configuration changes nothing. At the start of
// a daemon that recovers objects, an invalid configuration is replaced by one that denies
// everything (fallback_config()), since the objects would be lost if the daemon did not start.
//
// Invariant: a normal exit leaves the same state as a kill. No object is destroyed at the end, so
// there is one recovery path, and every restart uses it.
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

// Reads the configuration file that the options name. If the options name no file, reads the
// default file.
std::expected<Config, ConfigError> configuration_from(const Options& options);

// Returns the features of this kernel, without the features that the options exclude.
KernelFeatures usable_kernel_features(const Options& options);

class Daemon {
public:
    // Recovers the state of an earlier daemon. Without a valid configuration, users other than root
    // and the user that the daemon runs as may use only their names below user/UID. Throws
    // AlreadyRunning or std::exception.
    Daemon(const Options& options, const std::expected<Config, ConfigError>& config,
           InheritedFds inherited);

    // Serves clients until a signal stops the daemon, or until the daemon has been idle for the
    // time of --idle-exit.
    void run();
    // Commits all changes, removes the socket file and exits. The remaining state is the state that
    // a kill would leave. The descriptors that clients have sent are not closed here: the kernel
    // closes them, so a slow close delays nobody (FdCloser).
    [[noreturn]] void exit_without_teardown();

private:
    // Sends WATCHDOG=1 now, and from within the loop after each further `interval`.
    void ping_watchdog(nanoseconds interval);
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
    // Declared after notifier_, so that the watch is destroyed before notifier_.
    std::optional<EventLoop::Watch> supervisor_watch_;
    RecoveredState recovered_;
    StateStore state_store_;
    FdStore fd_store_;
    Service service_;
    std::optional<ListeningSocket> socket_;
    // Paths of the inherited sockets, whose files the daemon does not change.
    std::vector<std::string> inherited_paths_;
    Server server_;
    std::optional<EventLoop::Timeout> watchdog_ping_;
    // The error of the last attempt to read the configuration; empty after a success.
    std::string config_fault_;
    bool stop_requested_ = false;
};

} // namespace evfd::daemon
