// Serves three named timers and a TCP socket in one select(2) loop. The word "stop" on the socket
// ends the loop:
//
//     evfd-timers-select & printf stop | nc 127.0.0.1 1234
#include "client/examples/cpp/howto.h"

#include <sys/select.h>

#include <algorithm>
#include <cstdio>
#include <vector>

int main(int argc, char** argv)
{
    howto::Server server{argc, argv};
    const evfd::Client client{howto::value_or_exit(evfd::Address::usual())};
    const auto timers = howto::arm_timers(client);

    while (server.is_active()) {
        std::vector<int> fds{server.listener()};
        if (server.connection() >= 0)
            fds.push_back(server.connection());
        for (const auto& timer : timers)
            fds.push_back(timer.fd());

        fd_set readable;
        FD_ZERO(&readable);
        for (const int fd : fds)
            FD_SET(fd, &readable);
        timeval limit{.tv_sec = howto::timeout.count(), .tv_usec = 0};
        if (::select(*std::ranges::max_element(fds) + 1, &readable, nullptr, nullptr, &limit) < 0)
            continue;

        for (const int fd : fds) {
            if (!FD_ISSET(fd, &readable))
                continue;
            if (fd == server.listener())
                server.accept();
            else if (fd == server.connection())
                server.read();
            else
                howto::read_timer(timers, fd);
        }
        std::fflush(stdout);
    }
}
