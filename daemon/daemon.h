// All of a running evfdd: what it was handed and told, from its first answer to its end.
#pragma once

#include "daemon/config/config.h"
#include "daemon/base/event_loop.h"
#include "daemon/process/fd_store.h"
#include "daemon/process/listening_socket.h"
#include "daemon/process/notifier.h"
#include "daemon/options.h"
#include "daemon/ipc/server.h"
#include "daemon/service/service.h"
#include "daemon/process/signals.h"
#include "daemon/store/state_store.h"

#include <expected>
#include <optional>
#include <string>
#include <vector>

namespace evfd::daemon {

// What the options name, or what is at its usual place.
std::expected<Config, ConfigError> configuration_of(const Options& options);

// What the kernel has, but for what the options leave out.
KernelFeatures features_of_kernel(const Options& options);

class Program {
public:
    // Takes over what an earlier daemon left. Without a configuration other users than
    // root and its own may use only their names below user/UID. Throws AlreadyRunning or
    // std::exception.
    Program(const Options& options, const std::expected<Config, ConfigError>& config,
            HandedOver handed);

    // Clients can connect. Returns when it is to end.
    void run();
    // At the end. To end is to be killed: nothing is taken apart, so that the next one finds all as
    // it is. What clients sent is closed by the kernel, which does not linger for us then: Closer.
    [[noreturn]] void leave();

private:
    // Says from within the loop, twice in the time that systemd gives us, that it turns.
    class Heartbeat {
    public:
        Heartbeat(EventLoop& loop, const Notifier& notifier) : loop_{loop}, notifier_{notifier} {}
        void begin();

    private:
        void beat();
        EventLoop& loop_;
        const Notifier& notifier_;
        nanoseconds pause_{0};
        std::optional<EventLoop::Alarm> alarm_;
    };

    void watch_guard();
    void lose_guard();
    void tell_ready() const;
    void begin(const Config& config);
    void declare(const Config& config);
    void end();
    void reload();
    void apply(const Config& config);
    void check_handed(mode_t mode) const;

    Options options_;
    KernelFeatures kernel_;
    EventLoop loop_;
    Signals signals_;
    MonotonicTime started_ = monotonic_now();
    DescriptorBudget descriptor_budget_;
    HandedOver handed_;
    Notifier notifier_;
    std::optional<EventLoop::Watch> guard_watch_; // After notifier_: it must go first.
    Left left_;
    Vault vault_;
    Guardian guardian_;
    Service service_;
    std::optional<ListeningSocket> socket_;
    std::vector<std::string> handed_paths_; // Of sockets that are not ours to change.
    Server server_;
    Heartbeat heartbeat_;
    std::string config_fault_; // Why it could not be read last time; empty if it could.
    bool is_told_to_end_ = false;
};

} // namespace evfd::daemon
