// Servers that do nothing but what their sockets ask for: one epoll loop, messages of fixed sizes.
// What evfdd is held against.
#pragma once

#include "tests/bench/daemon_process.h"

#include <vector>

namespace evfd::bench {

class Server {
public:
    // Its ends of the connections, in a process of its own, as long as this lives.
    using Serve = std::function<void(const std::vector<UniqueFd>& ends)>;
    Server(std::size_t connections, const Serve& serve);

    pid_t pid() const { return worker_.process().pid(); }
    const UniqueFd& connection(std::size_t index) const { return ends_.at(index); }

private:
    using Ends = std::pair<std::vector<UniqueFd>, std::vector<UniqueFd>>;
    static Ends make_ends(std::size_t connections);
    Server(Ends ends, const Serve& serve);

    std::vector<UniqueFd> ends_;
    e2e::Worker worker_;
};

// Answers each message with one that has a descriptor with it.
Server::Serve handing_over(const Exchange& exchange);
// Two clients: each says that it waits, or sets the other off, which is answered, and so is the
// other one's wait.
Server::Serve passing_on(const Exchange& set, const Exchange& wait);

// What a client of theirs does. Messages begin with a byte that says what they are.
inline constexpr char sets = 'S';
inline constexpr char waits = 'W';
void send_whole(const UniqueFd& socket, const std::string& bytes);
// Until so many bytes came; a descriptor that came with them.
UniqueFd receive_whole(const UniqueFd& socket, std::size_t bytes);

} // namespace evfd::bench
