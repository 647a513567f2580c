#include "tests/bench/server.h"

#include "common/eventfd.h"
#include "common/socket.h"
#include "tests/support/send_with_fds.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace evfd::bench {

using e2e::value_or_throw;

namespace {

// Receives from all sockets until a client closes its connection. Calls `each` with the index of
// the socket and the received bytes.
template <class Each>
void serve_ends(const std::vector<UniqueFd>& ends, const Each& each)
{
    const UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    for (std::size_t i = 0; i < ends.size(); ++i) {
        epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
        e2e::require(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, ends[i].get(), &event) == 0, "epoll");
    }
    std::array<char, 4096> bytes;
    while (true) {
        std::array<epoll_event, 8> events;
        const int ready = ::epoll_wait(epoll.get(), events.data(), events.size(), -1);
        for (int i = 0; i < ready; ++i) {
            const auto index = events.at(static_cast<std::size_t>(i)).data.u64;
            const auto got = ::recv(ends[index].get(), bytes.data(), bytes.size(), 0);
            if (got <= 0)
                return;
            each(index, std::string_view{bytes.data(), static_cast<std::size_t>(got)});
        }
    }
}

} // namespace

BareServer::SocketPairs BareServer::make_socket_pairs(std::size_t connections)
{
    SocketPairs all;
    for (std::size_t i = 0; i < connections; ++i) {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) < 0)
            e2e::fail("socketpair(2)");
        all.first.emplace_back(ends[0]);
        all.second.emplace_back(ends[1]);
    }
    return all;
}

BareServer::BareServer(std::size_t connections, const Handler& serve)
    : BareServer{make_socket_pairs(connections), serve}
{
}

BareServer::BareServer(SocketPairs ends, const Handler& serve)
    : ends_{std::move(ends.first)}, worker_{[&](const e2e::WorkerSocket&) { serve(ends.second); }}
{
}

BareServer::Handler reply_with_descriptor(const Exchange& exchange)
{
    return [reply = std::string(exchange.reply_bytes, 'x')](const std::vector<UniqueFd>& ends) {
        const auto fd = value_or_throw(make_eventfd(0, Counter::plain));
        serve_ends(ends, [&](std::size_t sender, std::string_view) {
            (void)value_or_throw(send(ends[sender], reply, std::span{&fd, 1}));
        });
    };
}

BareServer::Handler relay_sets(const Exchange& set, const Exchange& wait)
{
    return [set, wait](const std::vector<UniqueFd>& ends) {
        const std::string set_reply(set.reply_bytes, 'x');
        const std::string wait_reply(wait.reply_bytes, 'x');
        std::array<bool, 2> is_waiting{};
        std::array<bool, 2> is_set{};
        const auto complete_wait = [&](std::size_t index) {
            if (!is_waiting.at(index) || !is_set.at(index))
                return;
            is_waiting.at(index) = is_set.at(index) = false;
            send_all(ends[index], wait_reply);
        };
        // One recv(2) can return several messages.
        serve_ends(ends, [&](std::size_t sender, std::string_view received) {
            while (!received.empty()) {
                const bool is_wait = received.front() == wait_tag;
                received.remove_prefix(is_wait ? wait.request.size() : set.request.size());
                const auto index = is_wait ? sender : 1 - sender;
                (is_wait ? is_waiting : is_set).at(index) = true;
                if (!is_wait)
                    send_all(ends[sender], set_reply);
                complete_wait(index);
            }
        });
    };
}

void send_all(const UniqueFd& socket, const std::string& bytes)
{
    e2e::require(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                     static_cast<ssize_t>(bytes.size()),
                 "send(2)");
}

UniqueFd receive_exactly(const UniqueFd& socket, std::size_t bytes)
{
    std::array<char, 4096> buffer;
    UniqueFd fd;
    while (bytes > 0) {
        iovec data{buffer.data(), std::min(buffer.size(), bytes)};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
        msghdr message{};
        message.msg_iov = &data;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto got = ::recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC);
        e2e::require(got > 0, "recvmsg(2)");
        bytes -= static_cast<std::size_t>(got);
        if (const auto* header = CMSG_FIRSTHDR(&message)) {
            int number = -1;
            std::memcpy(&number, CMSG_DATA(header), sizeof number);
            fd = UniqueFd{number};
        }
    }
    return fd;
}

} // namespace evfd::bench
