// Servers that do nothing but what their sockets ask for: one epoll loop, messages of fixed sizes.
// What evfdd is held against.
#pragma once

#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

class BareServer {
public:
    // Its ends of the connections, in a process of its own, as long as this lives.
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

// Answers each message with one that has a descriptor with it.
BareServer::Handler reply_with_descriptor(const Exchange& exchange);
// Two clients: each says that it waits, or sets the other off, which is answered, and so is the
// other one's wait.
BareServer::Handler relay_sets(const Exchange& set, const Exchange& wait);

// What a client of theirs does. Messages begin with a byte that says what they are.
inline constexpr char set_tag = 'S';
inline constexpr char wait_tag = 'W';
void send_all(const UniqueFd& socket, const std::string& bytes);
// Until so many bytes came; a descriptor that came with them.
UniqueFd receive_exactly(const UniqueFd& socket, std::size_t bytes);

} // namespace evfd::bench
