// A listening socket, like the one that systemd passes to a daemon.
#pragma once

#include "tests/support/process.h"
#include "tests/support/unix_address.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <string>

namespace evfd::e2e {

// Returns a socket that listens at `path`. Every user is allowed to connect to the socket.
inline UniqueFd listen_at(const std::string& path, int type = SOCK_STREAM)
{
    UniqueFd socket{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    if (bind_path(socket, path) < 0 || ::listen(socket.get(), 128) < 0 ||
        ::chmod(path.c_str(), 0666) < 0)
        fail(path);
    return socket;
}

} // namespace evfd::e2e
