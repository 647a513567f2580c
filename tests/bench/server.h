// Bare servers, the baseline of daemon_calls: one epoll loop, and messages of fixed sizes that are
// not parsed.
#pragma once

#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

class BareServer {
public:
    // Runs in a process of its own with the server's ends of the connections.
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

// Replies to each message with a descriptor.
BareServer::Handler reply_with_descriptor(const Exchange& exchange);
// Serves two clients. Each sends waits and sets; a set is answered at once, and completes the wait
// of the other client.
BareServer::Handler relay_sets(const Exchange& set, const Exchange& wait);

// The operations of a client. The first byte of a message is its type.
inline constexpr char set_tag = 'S';
inline constexpr char wait_tag = 'W';
void send_all(const UniqueFd& socket, const std::string& bytes);
// Receives this many bytes; returns the descriptor that arrived with them, if any.
UniqueFd receive_exactly(const UniqueFd& socket, std::size_t bytes);

} // namespace evfd::bench
