#include "client/examples/cpp/howto.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace howto {

void quit(std::string_view why)
{
    fmt::print(stderr, "{}\n", why);
    std::exit(EXIT_FAILURE);
}

namespace {

std::uint16_t port_of(int argc, char** argv)
{
    std::uint16_t port = 1234;
    if (argc < 2)
        return port;
    const std::string_view text{argv[1]};
    const auto [rest, error] = std::from_chars(text.begin(), text.end(), port);
    if (error != std::errc{} || rest != text.end() || argc > 2)
        quit("give a port, or nothing for 1234");
    return port;
}

sockaddr* any(sockaddr_in& address)
{
    return reinterpret_cast<sockaddr*>(&address);
}

} // namespace

std::vector<evfd::Timer> arm_timers(const evfd::Client& client)
{
    // All timers count from one start time, so that their expirations coincide, for example every
    // 1.5 s.
    const auto start = evfd::now_on(evfd::Clock::monotonic);
    std::vector<evfd::Timer> timers;
    for (int i = 1; i <= 3; ++i) {
        const auto name = fmt::format("howto/{}/{}", ::getpid(), i);
        const auto period = std::chrono::milliseconds{250} * i;
        value_or_exit(client.arm(
            name, {.at = start + period, .interval = period, .clock = evfd::Clock::monotonic},
            {.lifetime = evfd::Lifetime::session}));
        timers.push_back(value_or_exit(client.open_timer(name)));
    }
    return timers;
}

Server::Server(int argc, char** argv)
    : listener_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}
{
    const auto port = port_of(argc, argv);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    // Lets a new server use the port at once, while old connections are still in TIME_WAIT.
    const int again = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &again, sizeof again);
    if (!listener_ || ::bind(listener_.get(), any(address), size) < 0 ||
        ::listen(listener_.get(), 1) < 0 || ::getsockname(listener_.get(), any(address), &size) < 0)
        quit(fmt::format("cannot listen on port {}: {}", port, std::strerror(errno)));
    if (port == 0)
        fmt::print("Listening on port {}\n", ntohs(address.sin_port));
    std::fflush(stdout);
}

void Server::accept()
{
    fmt::print("Accepting connection {}\n", listener_.get());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    connection_ =
        evfd::UniqueFd{::accept4(listener_.get(), any(peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (connection_)
        fmt::print("Accepted connection {} from ('{}', {})\n", connection_.get(),
                   ::inet_ntoa(peer.sin_addr), ntohs(peer.sin_port));
}

void Server::read()
{
    fmt::print("Reading data {}\n", connection_.get());
    std::array<char, 1024> data{};
    const auto length = ::recv(connection_.get(), data.data(), data.size(), 0);
    if (length <= 0) {
        fmt::print("Closing connection {}\n", connection_.get());
        connection_ = {};
        return;
    }
    const std::string_view command{data.data(), static_cast<std::size_t>(length)};
    if (command.starts_with("stop")) {
        fmt::print("Stopping server\n");
        is_active_ = false;
    } else {
        fmt::print("Unknown command: {}\n", command);
    }
}

bool read_timer(const std::vector<evfd::Timer>& timers, int fd)
{
    for (std::size_t i = 0; i < timers.size(); ++i)
        if (timers[i].fd() == fd) {
            fmt::print("Reading timer {}\n", fd);
            const auto count = value_or_exit(timers[i].wait(evfd::nanoseconds{0}));
            fmt::print("Timer {} expired {} times\n", i + 1, count);
            return true;
        }
    return false;
}

} // namespace howto
