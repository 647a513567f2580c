// The server: the listening sockets and all connections.
//
// It accepts clients, a limited number in each iteration, asks the service to admit them, and
// rejects them with a reason otherwise. When no descriptor is left to accept a client, a spare one
// is given up so that the client can be rejected. The server also ends the daemon when it has been
// idle, and returns memory to the system after many connections have ended.
//
// A server without a listener serves the sockets that its owner admits: tests connect by
// socketpairs.
#pragma once

#include "common/json.h"
#include "common/unique_fd.h"
#include "daemon/base/event_loop.h"
#include "daemon/base/kernel_features.h"
#include "daemon/ipc/connection.h"
#include "daemon/ipc/fair_scheduler.h"
#include "daemon/ipc/fd_closer.h"
#include "daemon/service/service.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace evfd::daemon {

enum class Admission { admitted, rejected };

class Server {
public:
    Server(EventLoop& loop, Service& service, KernelFeatures kernel);
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // `socket` is a listening Unix stream socket. Throws std::system_error.
    void listen(UniqueFd socket);
    // `socket` is a connected client, which the kernel identifies. Without an identity it is
    // closed.
    void admit(UniqueFd socket);
    // The same for a client whose identity is known. `descriptors`: see Stream. A client that
    // the service rejects gets the reason, and its socket is closed.
    Admission admit(UniqueFd socket, Peer peer, IncomingFds descriptors);
    std::size_t connections() const { return connections_.size(); }
    // Stops the loop when there has been no connection and no object for `max_idle_time`. A client
    // that connects at the last moment is served: `reopen` returns a new listening socket. It is
    // empty if the old one outlives the daemon.
    using Reopen = std::function<UniqueFd()>;
    void stop_when_idle(nanoseconds max_idle_time, Reopen reopen);

private:
    struct Listener {
        UniqueFd socket;
        std::optional<EventLoop::Watch> watch; // After socket: the watch must be destroyed first.
    };

    Result<void> watch(Listener& listener);
    void pause_accepting();
    void accept_some(const UniqueFd& listener);
    bool accept_one(const UniqueFd& listener);
    bool reject_without_descriptors(const UniqueFd& listener);
    void on_events(std::uint64_t id, std::uint32_t events);
    void serve(std::uint64_t id);
    IncomingFds incoming_fds(const UniqueFd& socket) const;
    void close_socket(uid_t uid, UniqueFd socket, IncomingFds descriptors);
    void reject(uid_t uid, UniqueFd socket, IncomingFds descriptors, Refusal refusal);
    void remove_connection(std::uint64_t id);
    void close(std::uint64_t id);
    void trim_heap_later();
    void arm_idle_timeout();
    void exit_if_idle();

    EventLoop& loop_;
    Service& service_;
    KernelFeatures kernel_;
    FairScheduler scheduler_;
    json::Document scratch_; // Shared by all connections: one call is decoded at a time.
    FdCloser closer_;
    // Given up to reject a client when no descriptor is left. Empty before listen().
    UniqueFd spare_fd_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::optional<EventLoop::Timeout> resume_timeout_;
    std::optional<nanoseconds> max_idle_time_;
    Reopen reopen_;
    std::optional<EventLoop::Timeout> idle_timeout_;
    int closed_since_trim_ = 0; // Connections that ended since the heap was trimmed.
    std::optional<EventLoop::Timeout> trim_timeout_; // Set while a trim is due.
};

} // namespace evfd::daemon
