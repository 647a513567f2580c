#include "daemon/ipc/server.h"

#include "common/null_file.h"
#include "common/socket.h"
#include "daemon/base/log.h"
#include "daemon/service/output_queue.h"
#include "daemon/access/refusal.h"

#include <malloc.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>
#include <variant>

namespace evfd::daemon {

namespace {

// In one turn of the loop; a flood of newcomers must not keep those who are in from being served.
constexpr int max_accepts_per_turn = 16;

constexpr std::chrono::milliseconds pause_between_accepts{100};

constexpr uid_t unknown_uid = 65534; // As the kernel shows a user whom it cannot show.

} // namespace

Server::Server(EventLoop& loop, Service& service, KernelFeatures kernel)
    : loop_{loop}, service_{service}, kernel_{kernel},
      turns_{loop, service.quota(), [this](std::uint64_t id) { turn(id); }}, closer_{loop},
      reserve_{open_null()}
{
    service.quota().when_short_of(Resource::unread_descriptors, [this](uid_t account) {
        for (const auto& [id, connection] : connections_)
            if (service_.quota().account(connection->uid()) == account)
                connection->notice_reading();
    });
    if (!reserve_)
        throw std::system_error{errno, std::generic_category(), "open(/dev/null)"};
}

void Server::listen(UniqueFd socket)
{
    // No call has descriptors. Those that come all the same, or came before, are closed apart.
    if (kernel_.pass_rights)
        if (const auto refused = refuse_descriptors(socket); !refused)
            log::debug("clients can send descriptors: {}", refused.error().message());
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

// Who stands at the door would ring without end while we can neither let it in nor turn it away.
void Server::pause()
{
    for (const auto& listener : listeners_)
        listener->watch.reset();
    resume_alarm_.emplace(loop_.alarm(monotonic_after(pause_between_accepts), [this] {
        bool is_watched = true;
        for (const auto& listener : listeners_)
            is_watched = is_watched && watch(*listener).has_value();
        if (!is_watched)
            pause();
    }));
}

// Arrivals.

void Server::accept_some(const UniqueFd& listener)
{
    for (int accepts = 0; accepts < max_accepts_per_turn; ++accepts)
        if (!accept_one(listener))
            return;
}

// Whether there may be another one.
bool Server::accept_one(const UniqueFd& listener)
{
    UniqueFd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (socket) {
        admit(std::move(socket));
        return true;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE: return turn_away_without_descriptors(listener);
    case ECONNABORTED:
    case EINTR: return true;
    case EAGAIN:
    case EINVAL: return false; // The latter once it is shut.
    default:
        log::warn("cannot accept: {}", Fault::last("accept4(2)").message());
        pause();
        return false;
    }
}

// Left in the queue, it would ring for ever. With the reserve given up there is room to say why.
// Whether there was one: without a descriptor accept4(2) does not get as far as to look.
bool Server::turn_away_without_descriptors(const UniqueFd& listener)
{
    const Fault fault{"accept4(2)", errno};
    reserve_ = {};
    UniqueFd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    const bool was_there{socket};
    if (was_there) {
        turn_away(std::move(socket), refuse::system_failure(fault));
        log::warn("a client is turned away: {}", fault.message());
    }
    reserve_ = open_null();
    if (!reserve_)
        pause();
    return was_there && reserve_;
}

void Server::admit(UniqueFd socket)
{
    auto peer = peer_of(socket);
    if (!peer) {
        log::warn("a client is turned away: {}", peer.error().message());
        let_go(unknown_uid, std::move(socket));
        return;
    }
    const log::About about{.uid = peer->uid, .pid = peer->pid};
    auto dues = service_.admit(*peer);
    if (!dues) {
        turn_away(std::move(socket), std::move(dues.error()));
        log::info(about, "uid {} pid {} is turned away: it has too many connections", peer->uid,
                  peer->pid);
        return;
    }
    const auto id = service_.new_session_id();
    Session session{id, *std::move(peer), {}, {}};
    const auto descriptors = descriptors_in(socket);
    if (descriptors == Descriptors::perhaps)
        prepare_to_peek(socket);
    auto connection =
        std::make_unique<Connection>(loop_, turns_, service_, scratch_, std::move(socket),
                                     descriptors, std::move(session), *std::move(dues));
    const auto attached =
        connection->attach([this, id](std::uint32_t events) { on_events(id, events); });
    connections_.emplace(id, std::move(connection));
    if (!attached) {
        log::warn(about, "a client is turned away: {}", attached.error().message());
        end_connection(id);
        return;
    }
    idle_alarm_.reset();
}

// Connections.

void Server::on_events(std::uint64_t id, std::uint32_t events)
{
    if (connections_.at(id)->on_events(events) == Next::close)
        close(id);
}

void Server::turn(std::uint64_t id)
{
    const auto connection = connections_.find(id);
    if (connection != connections_.end() && connection->second->turn() == Next::close)
        close(id);
}

// What came to it.
Descriptors Server::descriptors_in(const UniqueFd& socket) const
{
    return kernel_.pass_rights && refuses_descriptors(socket) ? Descriptors::none
                                                              : Descriptors::perhaps;
}

// From here only if nothing is in it that could keep us. Until it is closed it counts as one of its
// user's connections, whether it was let in or not.
void Server::let_go(uid_t uid, UniqueFd socket)
{
    if (descriptors_in(socket) == Descriptors::none)
        return;
    prepare_to_peek(socket);
    auto& quota = service_.quota();
    if (end_input(socket))
        closer_.close(quota.account(uid), std::move(socket),
                      quota.take_again(uid, Resource::connections));
}

// Tells it why, as an answer to the call that it is about to send, and lets it go.
void Server::turn_away(UniqueFd socket, Refusal refusal)
{
    ++service_.counters().turned_away;
    Outbox outbox;
    service_.refuse(std::move(refusal), outbox);
    if (const auto told = outbox.flush(socket); !told)
        log::debug("cannot tell a client why it is turned away: {}", told.error().message());
    const auto peer = peer_of(socket);
    let_go(peer ? peer->uid : unknown_uid, std::move(socket));
}

void Server::end_connection(std::uint64_t id)
{
    const auto connection = connections_.find(id);
    const auto uid = connection->second->uid();
    auto socket = connection->second->give_up();
    connections_.erase(connection);
    let_go(uid, std::move(socket));
}

void Server::close(std::uint64_t id)
{
    end_connection(id);
    give_back_memory_soon();
    consider_idleness();
}

// What a crowd of clients filled leaves holes between small things that stay, so that the heap does
// not shrink by itself.
void Server::give_back_memory_soon()
{
    constexpr int crowd = 64;
    constexpr std::chrono::seconds most_often{1};
    if (++gone_ < crowd || std::exchange(gives_back_soon_, true))
        return;
    memory_alarm_.emplace(loop_.alarm(monotonic_after(most_often), [this] {
        gives_back_soon_ = false;
        gone_ = 0;
        ::malloc_trim(0);
    }));
}

void Server::stop_when_idle(nanoseconds patience, Reopen reopen)
{
    idle_patience_ = patience;
    reopen_ = std::move(reopen);
    service_.when_sessions_ended([this] { consider_idleness(); });
    consider_idleness();
}

void Server::consider_idleness()
{
    if (idle_patience_ && service_.is_idle())
        idle_alarm_.emplace(loop_.alarm(monotonic_after(*idle_patience_), [this] { leave(); }));
}

// First the door is shut: from then on nobody can come in unseen, and who comes later finds no
// daemon and starts one. Only then we look who is there.
void Server::leave()
{
    for (const auto& listener : listeners_) {
        if (reopen_)
            ::shutdown(listener->socket.get(), SHUT_RD);
        while (accept_one(listener->socket)) {
        }
    }
    if (service_.is_idle()) {
        log::info("nobody is here: ending");
        loop_.stop();
    } else if (reopen_) {
        listeners_.clear();
        listen(reopen_());
    }
}

} // namespace evfd::daemon
