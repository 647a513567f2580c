#include "daemon/ipc/server.h"

#include "common/null_file.h"
#include "common/socket.h"
#include "daemon/access/refusal.h"
#include "daemon/base/heap.h"
#include "daemon/base/log.h"
#include "daemon/limits.h"
#include "daemon/service/write_refusal.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <variant>

namespace evfd::daemon {

namespace {

constexpr uid_t unknown_uid = 65534; // The kernel's overflow uid, for a user without a mapping.

} // namespace

Server::Server(EventLoop& loop, Service& service, KernelFeatures kernel)
    : loop_{loop}, service_{service}, kernel_{kernel},
      scheduler_{loop, service.quota(), [this](std::uint64_t id) { serve(id); }}, closer_{loop}
{
    service.quota().set_reclaim(Resource::unread_descriptors, [this](uid_t account) {
        for (const auto& [id, connection] : connections_)
            if (service_.quota().account(connection->uid()) == account)
                connection->refresh_unread_fds();
    });
}

void Server::listen(UniqueFd socket)
{
    if (!spare_fd_)
        spare_fd_ = open_null();
    // The server does not start without a spare descriptor. But a running server, for which
    // exit_if_idle() calls listen() again, continues even without a spare descriptor.
    if (!spare_fd_ && !max_idle_time_)
        throw std::system_error{errno, std::generic_category(), "open(/dev/null)"};
    // No call accepts descriptors, so the kernel is told to refuse the descriptors that clients
    // send. FdCloser closes any descriptors that arrived earlier or arrive nevertheless.
    if (kernel_.pass_rights)
        if (const auto refused = refuse_descriptors(socket); !refused)
            log::debug({}, "the kernel cannot refuse descriptors from clients: {}",
                       refused.error().message());
    auto listener = std::make_unique<Listener>(std::move(socket), std::nullopt);
    if (const auto watched = watch(*listener); !watched)
        throw std::system_error{watched.error().error, std::generic_category(), "epoll_ctl(2)"};
    listeners_.push_back(std::move(listener));
}

Result<void> Server::watch(Listener& listener)
{
    auto watch = loop_.watch(listener.socket, EPOLLIN,
                             [this, fd = &listener.socket](auto) { accept_some(*fd); });
    if (!watch)
        return std::unexpected(watch.error());
    listener.watch.emplace(*std::move(watch));
    return {};
}

// Stops polling the listeners for a while. Without a free descriptor the server can neither accept
// nor reject a client, and a listener would stay readable indefinitely.
void Server::pause_accepting()
{
    for (const auto& listener : listeners_)
        listener->watch.reset();
    resume_timeout_.emplace(loop_.add_timeout(monotonic_deadline(accept_retry_interval), [this] {
        bool is_watched = true;
        for (const auto& listener : listeners_)
            is_watched = is_watched && watch(*listener).has_value();
        if (!is_watched)
            pause_accepting();
    }));
}

void Server::accept_some(const UniqueFd& listener)
{
    for (int accepts = 0; accepts < max_accepts_per_iteration; ++accepts)
        if (!accept_one(listener))
            return;
}

// Accepts a client. Returns whether another client can be waiting.
bool Server::accept_one(const UniqueFd& listener)
{
    UniqueFd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (socket) {
        admit(std::move(socket));
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE: return reject_without_descriptors(listener);
    case ECONNABORTED:
    case EINTR: return true;
    case EAGAIN:
    case EINVAL: return false; // accept4(2) fails with EINVAL after shutdown(2).
    default:
        service_.client_log().warn({}, "cannot accept a client: {}",
                                   Fault::last("accept4(2)").message());
        pause_accepting();
        return false;
    }
}

// Rejects a client for which no descriptor is left, because a client that is neither accepted nor
// rejected would keep the listener readable. The server closes its spare descriptor to accept the
// client. Returns whether another client can be waiting.
//
// EMFILE and ENFILE do not mean that a client is waiting: without a free descriptor, accept4(2)
// fails before it looks at the queue.
bool Server::reject_without_descriptors(const UniqueFd& listener)
{
    const Fault fault{"accept4(2)", errno};
    spare_fd_ = {};
    UniqueFd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    const bool had_client{socket};
    if (had_client) {
        const auto peer = peer_of(socket);
        const auto descriptors = incoming_fds(socket);
        reject(peer ? peer->uid : unknown_uid, std::move(socket), descriptors, fault);
        service_.client_log().warn({}, "rejected a client: {}", fault.message());
    }
    spare_fd_ = open_null();
    if (!spare_fd_)
        pause_accepting();
    return had_client && spare_fd_;
}

void Server::admit(UniqueFd socket)
{
    const auto descriptors = incoming_fds(socket);
    auto peer = peer_of(socket);
    if (peer) {
        admit(std::move(socket), *std::move(peer), descriptors);
        return;
    }
    service_.client_log().warn({}, "rejected a client: {}", peer.error().message());
    close_socket(unknown_uid, std::move(socket), descriptors);
}

Admission Server::admit(UniqueFd socket, Peer peer, IncomingFds descriptors)
{
    const log::Fields fields{.uid = peer.uid, .pid = peer.pid};
    auto charges = service_.admit(peer);
    if (!charges) {
        service_.client_log().info(fields, "rejected uid {} pid {}: too many connections", peer.uid,
                                   peer.pid);
        reject(peer.uid, std::move(socket), descriptors, charges.error());
        return Admission::rejected;
    }
    if (descriptors == IncomingFds::possible)
        prepare_to_peek(socket);
    const auto id = service_.registry().ids.next();
    auto connection = std::make_unique<Connection>(
        loop_, scheduler_, service_, scratch_, std::move(socket), descriptors,
        Session{id, std::move(peer), {}, {}}, *std::move(charges));
    const auto attached =
        connection->attach([this, id](std::uint32_t events) { on_events(id, events); });
    connections_.emplace(id, std::move(connection));
    if (!attached) {
        service_.client_log().warn(fields, "rejected a client: {}", attached.error().message());
        remove_connection(id);
        return Admission::rejected;
    }
    idle_timeout_.reset();
    return Admission::admitted;
}

void Server::on_events(std::uint64_t id, std::uint32_t events)
{
    if (connections_.at(id)->on_events(events) == Next::close)
        close(id);
}

void Server::serve(std::uint64_t id)
{
    const auto connection = connections_.find(id);
    if (connection != connections_.end() && connection->second->serve() == Next::close)
        close(id);
}

// Returns whether the client can have sent descriptors.
IncomingFds Server::incoming_fds(const UniqueFd& socket) const
{
    return kernel_.pass_rights && refuses_descriptors(socket) ? IncomingFds::none
                                                              : IncomingFds::possible;
}

// Closes a socket. If the socket can contain descriptors, FdCloser closes it, because closing the
// descriptors can block. Until a socket is closed it counts as a connection of its user, even if
// the client was not admitted.
void Server::close_socket(uid_t uid, UniqueFd socket, IncomingFds descriptors)
{
    if (descriptors == IncomingFds::none)
        return;
    prepare_to_peek(socket);
    auto& quota = service_.quota();
    if (end_input(socket))
        closer_.close(quota.account(uid), std::move(socket),
                      quota.charge_unchecked(uid, Resource::connections));
}

// Sends the reason as the reply to the client's first call, and closes the socket.
void Server::reject(uid_t uid, UniqueFd socket, IncomingFds descriptors, const Refusal& refusal)
{
    ++service_.counters().rejected;
    OutputQueue output;
    write_refusal(refusal, service_.counters(), output);
    if (const auto sent = output.flush_without_changes(socket); !sent)
        log::debug({}, "cannot send a rejected client the reason: {}", sent.error().message());
    close_socket(uid, std::move(socket), descriptors);
}

void Server::remove_connection(std::uint64_t id)
{
    const auto connection = connections_.find(id);
    const auto uid = connection->second->uid();
    const auto descriptors = connection->second->incoming_fds();
    auto socket = connection->second->release_socket();
    connections_.erase(connection);
    close_socket(uid, std::move(socket), descriptors);
}

void Server::close(std::uint64_t id)
{
    remove_connection(id);
    trim_heap_later();
    arm_idle_timeout();
}

// Plans a trim of the heap if many connections have ended since the last trim. The ended
// connections leave holes between small objects that are still in use, so the heap does not shrink
// by itself. After 1,000 connections, 2.4 MiB stay allocated. malloc_trim(3) returns 2.2 MiB to the
// kernel, or 1.6 MiB if the connections also made 100 objects. The option M_TRIM_THRESHOLD of
// mallopt(3) does not help, because it acts only at the end of the heap.
void Server::trim_heap_later()
{
    if (++closed_since_trim_ < min_closed_connections_per_trim || trim_timeout_)
        return;
    trim_timeout_.emplace(loop_.add_timeout(monotonic_deadline(min_trim_interval), [this] {
        closed_since_trim_ = 0;
        trim_heap();
        trim_timeout_.reset();
    }));
}

void Server::stop_when_idle(nanoseconds max_idle_time, Reopen reopen)
{
    max_idle_time_ = max_idle_time;
    reopen_ = std::move(reopen);
    service_.sessions().on_orphans_ended([this] { arm_idle_timeout(); });
    arm_idle_timeout();
}

void Server::arm_idle_timeout()
{
    if (max_idle_time_ && service_.is_idle())
        idle_timeout_.emplace(
            loop_.add_timeout(monotonic_deadline(*max_idle_time_), [this] { exit_if_idle(); }));
}

// Shuts the listeners down, and only then checks for clients. After the shutdown no client can
// connect unnoticed: a later client finds no daemon and starts one.
void Server::exit_if_idle()
{
    for (const auto& listener : listeners_) {
        if (reopen_)
            ::shutdown(listener->socket.get(), SHUT_RD);
        while (accept_one(listener->socket)) {
        }
    }
    if (service_.is_idle()) {
        log::info({}, "idle: stopping");
        loop_.stop();
    } else if (reopen_) {
        listeners_.clear();
        listen(reopen_());
    }
}

} // namespace evfd::daemon
