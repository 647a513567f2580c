// BareServer: the baseline of daemon_calls.h. The server has one epoll loop. All messages of one
// kind have equal sizes, and the server does not parse messages.
#pragma once

#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

class BareServer {
public:
    // A function that serves the connections. The function runs in the server's own process, and
    // gets the server's ends of the connections.
    using Handler = std::function<void(const std::vector<UniqueFd>& ends)>;
    BareServer(std::size_t connections, const Handler& serve);

    pid_t pid() const { return worker_.process().pid(); }
    const UniqueFd& connection(std::size_t index) const { return ends_.at(index); }

private:
    using SocketPairs = std::pair<std::vector<UniqueFd>, std::vector<UniqueFd>>;
    static SocketPairs make_socket_pairs(std::size_t connections);
    BareServer(SocketPairs ends, const Handler& serve);

    std::vector<UniqueFd> ends_;
    e2e::Worker worker_;
};

// Returns a handler that replies to each message with a descriptor.
BareServer::Handler reply_with_descriptor(const Exchange& exchange);
// Returns a handler that serves two clients. Each client sends `set` messages and `wait` messages.
// The handler replies to a `set` message at once. It replies to a `wait` message when the other
// client has sent a `set` message.
BareServer::Handler relay_sets(const Exchange& set, const Exchange& wait);

// The first byte of each message that relay_sets() receives. The byte tells `set` messages from
// `wait` messages.
inline constexpr char set_tag = 'S';
inline constexpr char wait_tag = 'W';
void send_all(const UniqueFd& socket, const std::string& bytes);
// Receives exactly `bytes` bytes. Returns the descriptor that arrived with the bytes, or an invalid
// descriptor.
UniqueFd receive_exactly(const UniqueFd& socket, std::size_t bytes);

} // namespace evfd::bench
