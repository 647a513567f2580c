// ConcurrentClients: many clients that each make one call at a time. Each has a connection of its
// own. One process runs all of them with one epoll loop, as redis-benchmark does.
#pragma once

#include "common/unique_fd.h"

#include <string>
#include <vector>

namespace evfd::bench {

struct ConcurrentClient {
    UniqueFd connection;
    std::string request;
};

class ConcurrentClients {
public:
    // Each reply has `reply_bytes` bytes.
    ConcurrentClients(std::vector<ConcurrentClient> clients, std::size_t reply_bytes);
    // Makes `count` calls, as many clients at a time as there are. Returns after the last reply.
    void call(int count);

private:
    void send_request(std::size_t client);
    void receive_reply(std::size_t client);

    std::vector<ConcurrentClient> clients_;
    std::size_t reply_bytes_;
    UniqueFd epoll_;
};

} // namespace evfd::bench
