#include "tests/bench/peers/concurrent_clients.h"

#include "tests/support/process.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace evfd::bench {

ConcurrentClients::ConcurrentClients(std::vector<ConcurrentClient> clients, std::size_t reply_bytes)
    : clients_{std::move(clients)}, reply_bytes_{reply_bytes},
      epoll_{::epoll_create1(EPOLL_CLOEXEC)}
{
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
        e2e::require(
            ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, clients_[i].connection.get(), &event) == 0,
            "epoll_ctl(2)");
    }
}

void ConcurrentClients::call(int count)
{
    int sent = std::min(count, static_cast<int>(clients_.size()));
    for (int i = 0; i < sent; ++i)
        send_request(static_cast<std::size_t>(i));
    for (int received = 0; received < count;) {
        std::array<epoll_event, 64> events;
        const int ready =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < ready; ++i) {
            const auto client = events.at(static_cast<std::size_t>(i)).data.u64;
            receive_reply(client);
            ++received;
            if (sent < count) {
                send_request(client);
                ++sent;
            }
        }
    }
}

void ConcurrentClients::send_request(std::size_t client)
{
    const auto& [connection, request] = clients_[client];
    e2e::require(::send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL) ==
                     static_cast<ssize_t>(request.size()),
                 "send(2)");
}

// A reply is small and is sent at once, so one recv(2) returns all of it.
void ConcurrentClients::receive_reply(std::size_t client)
{
    std::array<char, 4096> reply;
    const auto got = ::recv(clients_[client].connection.get(), reply.data(), reply.size(), 0);
    e2e::require(got == static_cast<ssize_t>(reply_bytes_), "an unexpected reply");
}

} // namespace evfd::bench
