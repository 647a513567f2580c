// Serves three named timers and a TCP socket in one epoll(7) loop. The word "stop" on the socket
// ends the loop:
//
//     evfd-timers-epoll & printf stop | nc 127.0.0.1 1234
#include "client/examples/cpp/howto.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <array>
#include <cstdio>
#include <span>

namespace {

void watch(const evfd::UniqueFd& epoll, int fd)
{
    epoll_event wanted{};
    wanted.events = EPOLLIN;
    wanted.data.fd = fd;
    ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &wanted);
}

void print(std::span<const epoll_event> events)
{
    fmt::print("Signaled events=[");
    for (const auto& event : events)
        fmt::print("{}({}, {})", &event == events.data() ? "" : ", ", event.data.fd, event.events);
    fmt::print("]\n");
}

} // namespace

int main(int argc, char** argv)
{
    howto::Server server{argc, argv};
    const evfd::Client client{howto::value_or_exit(evfd::Address::usual())};
    const auto timers = howto::arm_timers(client);

    const evfd::UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
    watch(epoll, server.listener());
    for (const auto& timer : timers)
        watch(epoll, timer.fd());

    while (server.is_active()) {
        std::array<epoll_event, 8> room{};
        const int ready =
            ::epoll_wait(epoll.get(), room.data(), room.size(),
                         static_cast<int>(std::chrono::milliseconds{howto::timeout}.count()));
        const std::span events{room.data(), static_cast<std::size_t>(ready < 0 ? 0 : ready)};
        print(events);
        for (const auto& event : events) {
            const int fd = event.data.fd;
            if (fd == server.listener()) {
                server.accept();
                if (server.connection() >= 0)
                    watch(epoll, server.connection());
            } else if (fd == server.connection()) {
                // If server.read() closes the connection, the kernel also removes the descriptor
                // from the epoll set.
                server.read();
            } else if (!howto::read_timer(timers, fd)) {
                fmt::print("Unknown file descriptor {}\n", fd);
            }
        }
        std::fflush(stdout);
    }
}
