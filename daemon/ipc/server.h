// All connections, and the sockets on which they arrive.
#pragma once

#include "common/json.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/kernel_features.h"
#include "daemon/ipc/connection.h"
#include "daemon/ipc/fair_scheduler.h"
#include "daemon/ipc/fd_closer.h"
#include "daemon/service/service.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

class Server {
public:
    // Throws std::system_error.
    Server(EventLoop& loop, Service& service, KernelFeatures kernel);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // A listening Unix stream socket. Throws std::system_error.
    void listen(UniqueFd socket);
    // A client, connected.
    void admit(UniqueFd socket);
    // Stops the loop once there was no client and no object for so long. A client that comes at the
    // very end is served: `reopen` gives a listening socket again, unless the old one outlives us.
    using Reopen = std::function<UniqueFd()>;
    void stop_when_idle(nanoseconds max_idle_time, Reopen reopen);

private:
    struct Listener {
        UniqueFd socket;
        std::optional<EventLoop::Watch> watch; // After socket: it must go first.
    };

    Result<void> watch(Listener& listener);
    void pause_accepting();
    void accept_some(const UniqueFd& listener);
    bool accept_one(const UniqueFd& listener);
    bool reject_without_descriptors(const UniqueFd& listener);
    void on_events(std::uint64_t id, std::uint32_t events);
    void serve(std::uint64_t id);
    IncomingFds incoming_fds(const UniqueFd& socket) const;
    void close_socket(uid_t uid, UniqueFd socket);
    void reject(UniqueFd socket, Refusal refusal);
    void remove_connection(std::uint64_t id);
    void close(std::uint64_t id);
    void trim_heap_later();
    void arm_idle_timeout();
    void exit_if_idle();

    EventLoop& loop_;
    Service& service_;
    KernelFeatures kernel_;
    FairScheduler scheduler_;
    json::Document scratch_; // Of all connections: one call is read at a time.
    FdCloser closer_;
    UniqueFd spare_fd_; // To be given up for a client that must be turned away.
    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::optional<EventLoop::Timeout> resume_timeout_;
    std::optional<nanoseconds> max_idle_time_;
    Reopen reopen_;
    std::optional<EventLoop::Timeout> idle_timeout_;
    int closed_since_trim_ = 0; // Connections since memory was given back.
    bool is_trim_scheduled_ = false;
    std::optional<EventLoop::Timeout> trim_timeout_;
};

} // namespace evfd::daemon
