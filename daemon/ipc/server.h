// The server: the listening sockets and all connections.
//
// In each iteration the server accepts a limited number of clients. It rejects, with a reason, each
// client that the service does not admit. When no descriptor is left to accept a client, the server
// closes a spare descriptor so that it can reject the client. The server also ends the daemon when
// the daemon has been idle, and returns memory to the system after many connections have ended.
//
// A server without a listener serves the sockets that its owner passes to admit(). Tests connect by
// socketpairs in this way.
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

    // Accepts clients from `socket`, a listening Unix stream socket. Throws std::system_error.
    void listen(UniqueFd socket);
    // Admits the client that is connected by `socket`. Asks the kernel for the identity of the
    // client. If the kernel does not know the identity, the socket is closed.
    void admit(UniqueFd socket);
    // Admits a client whose identity is known. For `descriptors`, see the constructor of Stream. If
    // the service rejects the client, the client gets the reason and its socket is closed.
    Admission admit(UniqueFd socket, Peer peer, IncomingFds descriptors);
    std::size_t connections() const { return connections_.size(); }
    // Stops the loop when there has been no connection and no object for `max_idle_time`. The
    // server first shuts its listening sockets down. If a client has connected before the shutdown,
    // the loop is not stopped, and the server calls `reopen` to get a new listening socket.
    // If the listening socket outlives the daemon, `reopen` is empty, and the server does not shut
    // the socket down.
    using Reopen = std::function<UniqueFd()>;
    void stop_when_idle(nanoseconds max_idle_time, Reopen reopen);

private:
    struct Listener {
        UniqueFd socket;
        // Declared after socket, so that the watch is destroyed first.
        std::optional<EventLoop::Watch> watch;
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
    void reject(uid_t uid, UniqueFd socket, IncomingFds descriptors, const Refusal& refusal);
    void remove_connection(std::uint64_t id);
    void close(std::uint64_t id);
    void trim_heap_later();
    void arm_idle_timeout();
    void exit_if_idle();

    EventLoop& loop_;
    Service& service_;
    KernelFeatures kernel_;
    FairScheduler scheduler_;
    json::Document scratch_; // Shared by all connections, because one call is decoded at a time.
    FdCloser closer_;
    // A spare descriptor, which is closed to reject a client when no other descriptor is left. It
    // is empty before listen().
    UniqueFd spare_fd_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    std::optional<EventLoop::Timeout> resume_timeout_;
    std::optional<nanoseconds> max_idle_time_;
    Reopen reopen_;
    std::optional<EventLoop::Timeout> idle_timeout_;
    int closed_since_trim_ = 0; // The number of connections that ended since the heap was trimmed.
    // The time at which the heap is trimmed; empty if no trim is planned.
    std::optional<EventLoop::Timeout> trim_timeout_;
};

} // namespace evfd::daemon
